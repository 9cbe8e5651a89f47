//! What the registry looks like to one turn: tools, filters, policy and bounds, taken at its start; tools and filters are
//! taken again where they changed, for the steps that come.

use crate::limits::{RENEWALS_MAX, TurnLimits};
use dispatch_contracts::filter::{FilterSpec, Point};
use dispatch_contracts::kernel::PointFilters;
use dispatch_contracts::tool::{Decision, Effect, Locality, ToolSpec};
use std::sync::OnceLock;

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
    /// Whether the turn's provider takes images.
    pub(crate) images: bool,
    /// What took the place of tools and filters. A step goes on with the tools that it began with, so none is dropped.
    later: OnceLock<Box<TurnTools>>,
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
        Self { tools, filters, policy, limits: limits.clamped(), images: false, later: OnceLock::new() }
    }

    /// The same for a provider that takes images, or does not.
    pub fn with_images(self, images: bool) -> Self {
        Self { images, ..self }
    }

    /// What reaches `computer`; empty = this machine.
    pub(crate) fn reaching(mut self, computer: &str) -> Self {
        self.tools.retain(|tool| match tool.locality {
            Locality::Any => true,
            Locality::Local => computer.is_empty(),
        });
        self
    }

    /// Puts other tools and filters in the place of these, up to [`RENEWALS_MAX`] times; false = they are the same.
    pub(crate) fn renew(&self, next: Self) -> bool {
        let mut now = self;
        let mut n_before = 0;
        while let Some(later) = now.later.get() {
            now = later;
            n_before += 1;
        }
        if now.tools == next.tools && now.filters == next.filters || n_before >= RENEWALS_MAX {
            return false;
        }
        now.later.set(Box::new(next)).is_ok()
    }

    fn now(&self) -> &Self {
        let mut now = self;
        while let Some(later) = now.later.get() {
            now = later;
        }
        now
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
        &self.now().tools
    }

    /// The tool of that name.
    pub(crate) fn spec(&self, name: &str) -> Option<&ToolSpec> {
        self.now().tools.iter().find(|tool| tool.name == name)
    }

    /// The filters at `point`, in the order they are asked.
    pub(crate) fn filters_at(&self, point: Point) -> impl Iterator<Item = &FilterSpec> {
        self.now().filters.iter().filter(move |filter| filter.point == point)
    }

    /// Whether anybody filters at `point`; nothing is built for a point without filters.
    pub(crate) fn filtered(&self, point: Point) -> bool {
        self.filters_at(point).next().is_some()
    }
}
