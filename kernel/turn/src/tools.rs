//! What the registry looks like to one turn: tools, filters, policy and bounds, taken once at its start.

use crate::limits::TurnLimits;
use dispatch_contracts::filter::{FilterSpec, Point};
use dispatch_contracts::kernel::PointFilters;
use dispatch_contracts::tool::Decision;
use dispatch_contracts::tool::{Effect, ToolSpec};

/// What tools may do, by effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Tools that only look.
    pub read: Decision,
    /// Tools that change files or remote state.
    pub write: Decision,
    /// Tools that run programs.
    pub exec: Decision,
}

impl ToolPolicy {
    /// What holds for `effect`.
    pub const fn decide(&self, effect: Effect) -> Decision {
        match effect {
            Effect::Read => self.read,
            Effect::Write => self.write,
            Effect::Exec => self.exec,
        }
    }
}

/// The snapshot of the registry that one turn runs with.
#[derive(Debug, Clone)]
pub struct TurnTools {
    tools: Vec<ToolSpec>,
    filters: Vec<FilterSpec>,
    pub(crate) policy: ToolPolicy,
    pub(crate) limits: TurnLimits,
}

impl TurnTools {
    /// `tools` are offered in this order; `filters` come in order of registration and are put by priority here.
    pub fn new(
        tools: Vec<ToolSpec>,
        mut filters: Vec<FilterSpec>,
        policy: ToolPolicy,
        limits: TurnLimits,
    ) -> Self {
        filters.sort_by_key(|filter| filter.priority);
        Self { tools, filters, policy, limits: limits.clamped() }
    }

    /// The filters of each point that has any, in the order of the points, then in the order they are asked.
    pub fn filters_by_point(&self) -> Vec<PointFilters> {
        let mut points: Vec<PointFilters> = Vec::new();
        for filter in &self.filters {
            match points.iter_mut().find(|known| known.point == filter.point) {
                Some(known) => known.filters.push(filter.clone()),
                None => points.push(PointFilters { point: filter.point, filters: vec![filter.clone()] }),
            }
        }
        points.sort_by_key(|known| known.point);
        points
    }

    /// All tools, in order.
    pub(crate) fn specs(&self) -> &[ToolSpec] {
        &self.tools
    }

    /// The tool of that name.
    pub(crate) fn spec(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The filters at `point`, in the order they are asked.
    pub(crate) fn filters_at(&self, point: Point) -> impl Iterator<Item = &FilterSpec> {
        self.filters.iter().filter(move |filter| filter.point == point)
    }

    /// Whether anybody filters at `point`; nothing is built for a point without filters.
    pub(crate) fn filtered(&self, point: Point) -> bool {
        self.filters_at(point).next().is_some()
    }
}
