//! `/metrics`: the kernel's numbers, those of every instance that has some, and the listener's own, as text.
//!
//! It must not know what they count. Source: Prometheus text format 0.0.4.

use crate::numbers::Numbers;
use crate::problem::Problem;
use dispatch_sdk::Host;
use dispatch_sdk::contracts::instance::{ITEMS_MAX, Metric, MetricKind, Metrics, Sample};
use dispatch_sdk::contracts::kernel::{Health, HealthReply, InstanceState, Inventory};
use dispatch_sdk::contracts::verb::Empty;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::fmt::Write;
use tracing::debug;

/// The label that says whose number it is.
const INSTANCE_LABEL: &str = "instance";
/// Most samples of one metric of one instance.
const SAMPLES_MAX: usize = 4_096;

/// The whole text; `own` are the numbers of the listener, which is `instance`.
pub(crate) async fn text(host: &Host, instance: &str, own: &Numbers) -> Result<String, Problem> {
    let health = host.call(Health, &Empty {}).await?;
    let mut families = Families::default();
    for metric in of_kernel(&health) {
        families.add(metric, None);
    }
    for (id, metrics) in of_instances(host, instance, own).await? {
        for metric in metrics.into_iter().take(ITEMS_MAX) {
            families.add(metric, Some(&id));
        }
    }
    Ok(families.text())
}

async fn of_instances(
    host: &Host,
    own_id: &str,
    own: &Numbers,
) -> Result<Vec<(String, Vec<Metric>)>, Problem> {
    let inventory = host.call(Inventory, &Empty {}).await?;
    let serving = inventory.instances.into_iter().filter(|instance| {
        instance.state == InstanceState::Active && instance.serves.iter().any(|verb| verb == "metrics")
    });
    let others = serving.map(|instance| instance.id).filter(|id| id != own_id);
    let asked = others.map(|id| async move {
        match host.call_named(Metrics, &id, &Empty {}).await {
            Ok(reply) => (id, reply.metrics),
            Err(fault) => {
                debug!(instance = id, %fault, "an instance tells no metrics");
                (id, Vec::new())
            }
        }
    });
    // Its own come first, so that nobody else says what kind they are of.
    let mut all = vec![(own_id.to_owned(), own.metrics())];
    all.extend(join_all(asked).await);
    Ok(all)
}

fn of_kernel(health: &HealthReply) -> Vec<Metric> {
    let host = |name: &str, help: &str, n: u64| Metric {
        name: name.to_owned(),
        help: help.to_owned(),
        kind: MetricKind::Gauge,
        samples: vec![Sample { labels: BTreeMap::new(), value: n as f64 }],
    };
    type Of = fn(&dispatch_sdk::contracts::kernel::InstanceHealth) -> u64;
    let each = |name: &str, help: &str, kind: MetricKind, of: Of| Metric {
        name: name.to_owned(),
        help: help.to_owned(),
        kind,
        samples: health
            .instances
            .iter()
            .map(|instance| Sample {
                labels: BTreeMap::from([(INSTANCE_LABEL.to_owned(), instance.id.clone())]),
                value: of(instance) as f64,
            })
            .collect(),
    };
    let counter = MetricKind::Counter;
    vec![
        host("dispatch_calls_open", "Calls open now.", health.calls_open),
        host(
            "dispatch_health",
            "How what the build needs stands: 0 ok, 1 it cannot work now, 2 it never will again.",
            health.state.severity().into(),
        ),
        host("dispatch_long_calls_open", "Of these, long ones.", health.long_calls_open),
        each("dispatch_instance_calls_total", "Calls answered.", counter, |of| of.calls),
        each("dispatch_instance_panics_total", "Calls that panicked.", counter, |of| of.panics),
        each("dispatch_instance_overloaded_total", "Calls refused as too many.", counter, |of| of.overloaded),
        each("dispatch_instance_calls_in_flight", "Slots taken now.", MetricKind::Gauge, |of| {
            of.calls_in_flight
        }),
        each(
            "dispatch_instance_health",
            "How it stands: 0 ok, 1 it cannot work now, 2 it never will again.",
            MetricKind::Gauge,
            |of| of.state.severity().into(),
        ),
    ]
}

/// Metrics by name, each once, whoever has it.
#[derive(Default)]
struct Families {
    by_name: BTreeMap<String, Family>,
}

struct Family {
    help: String,
    kind: MetricKind,
    lines: String,
}

impl Families {
    fn add(&mut self, metric: Metric, instance: Option<&str>) {
        if !is_name(&metric.name) {
            debug!(instance, name = metric.name, "a metric is left out: its name does not have its form");
            return;
        }
        let family = self.by_name.entry(metric.name.clone()).or_insert_with(|| Family {
            help: metric.help.clone(),
            kind: metric.kind,
            lines: String::new(),
        });
        if family.kind != metric.kind {
            debug!(instance, name = metric.name, "a metric is left out: it is of another kind elsewhere");
            return;
        }
        for sample in metric.samples.into_iter().take(SAMPLES_MAX) {
            family.sample(&metric.name, sample, instance);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.by_name {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Untyped => "untyped",
            };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}", family.lines);
        }
        text
    }
}

impl Family {
    fn sample(&mut self, name: &str, mut sample: Sample, instance: Option<&str>) {
        if let Some(instance) = instance {
            sample.labels.insert(INSTANCE_LABEL.to_owned(), instance.to_owned());
        }
        let labels: Vec<_> = sample
            .labels
            .iter()
            .filter(|(label, _)| is_name(label) && !label.contains(':'))
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.lines, "{name}{labels} {}", sample.value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn is_name(name: &str) -> bool {
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    !name.is_empty() && name.bytes().all(part) && !name.as_bytes()[0].is_ascii_digit()
}
