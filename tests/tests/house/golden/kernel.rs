//! Samples of `kernel.v1`.
//!
//! They must not know a build.

use std::collections::BTreeMap;

use dispatch_contracts::Contributions;
use dispatch_contracts::Empty;
use dispatch_contracts::engine::EngineSpec;
use dispatch_contracts::kernel::*;

use super::provider::provider_spec;
use super::sample::{CWD, Golden, HOST, TURN, golden};
use super::surface::{command_spec, op_spec};
use super::tool::{filter_spec, tool_spec};

fn bridge() -> EngineSpec {
    EngineSpec { name: "bridge".to_owned(), ready: false, reason: "its program is not installed".to_owned() }
}

fn engines() -> Vec<EngineSpec> {
    vec![EngineSpec { name: "native".to_owned(), ready: true, reason: String::new() }, bridge()]
}

fn contributions() -> Contributions {
    Contributions {
        tools: vec![tool_spec()],
        providers: vec![provider_spec()],
        engines: vec![bridge()],
        ops: vec![op_spec()],
        filters: vec![filter_spec()],
        commands: vec![command_spec()],
    }
}

fn inventory() -> InventoryReply {
    let active = InstanceInfo {
        id: "demo".to_owned(),
        from: "provider-demo".to_owned(),
        version: "0.1.0".to_owned(),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        state: InstanceState::Active,
        reason: String::new(),
        provides: vec!["provider.v1".to_owned()],
        serves: vec!["check".to_owned()],
        contributes: contributions(),
        left_out: vec!["the tool `x` is left out: missing field `effect`".to_owned()],
    };
    let disabled = InstanceInfo {
        id: "store".to_owned(),
        from: "storage-sqlite".to_owned(),
        version: "0.1.0".to_owned(),
        sha256: String::new(),
        state: InstanceState::Disabled,
        reason: "it did not start".to_owned(),
        provides: vec!["storage.v1".to_owned()],
        serves: vec![],
        contributes: Contributions::default(),
        left_out: vec![],
    };
    InventoryReply {
        kernel: "0.1.0".to_owned(),
        host_id: HOST.to_owned(),
        instances: vec![active, disabled],
        services: BTreeMap::from([("prompt.v1".to_owned(), "system-prompt".to_owned())]),
        engines: Vec::new(),
    }
}

fn extensions() -> Vec<ExtensionInfo> {
    let short = |info: InstanceInfo| ExtensionInfo {
        id: info.id,
        from: info.from,
        version: info.version,
        state: info.state,
        reason: info.reason,
        provides: info.provides,
    };
    inventory().instances.into_iter().map(short).collect()
}

fn wait(on: WaitOn, name: &str, tool_call_id: Option<&str>, since_ms: u64) -> Wait {
    Wait { on, name: name.to_owned(), tool_call_id: tool_call_id.map(str::to_owned), since_ms }
}

fn explained() -> ExplainReply {
    ExplainReply {
        turn_id: TURN.to_owned(),
        step_idx: Some(1),
        running_ms: 5300,
        stopping: true,
        waits: vec![
            wait(WaitOn::Tool, "read_file", Some("call_1"), 900),
            wait(WaitOn::Ask, "read_file", Some("call_2"), 850),
            wait(WaitOn::Commit, "", None, 3),
            wait(WaitOn::Reader, "", None, 2),
        ],
        filters: vec![PointFilters { point: filter_spec().point, filters: vec![filter_spec()] }],
    }
}

fn explained_before_its_steps() -> ExplainReply {
    ExplainReply {
        turn_id: TURN.to_owned(),
        step_idx: None,
        running_ms: 5,
        stopping: false,
        waits: vec![
            wait(WaitOn::Filter, "trim", None, 5),
            wait(WaitOn::Provider, "demo", None, 4),
            wait(WaitOn::RetryPolicy, "", None, 3),
            wait(WaitOn::RetrySleep, "", None, 2),
            wait(WaitOn::Steering, "", None, 1),
            wait(WaitOn::Boundary, "", None, 0),
        ],
        filters: vec![],
    }
}

pub(super) fn samples() -> Vec<Golden> {
    let health = HealthReply {
        state: HealthState::Degraded,
        calls_open: 3,
        long_calls_open: 1,
        instances: vec![InstanceHealth {
            id: "demo".to_owned(),
            calls: 42,
            panics: 1,
            last_panic: "`prov` panicked in `on_topic`: no luck at src/lib.rs:7".to_owned(),
            overloaded: 2,
            calls_in_flight: 3,
            state: HealthState::Degraded,
            reason: "the disk is full; make room".to_owned(),
        }],
    };
    vec![
        golden::<Inventory>(
            vec![Empty {}],
            vec![inventory(), InventoryReply { engines: engines(), ..inventory() }],
            vec![],
        ),
        golden::<Extensions>(vec![Empty {}], vec![ExtensionsReply { extensions: extensions() }], vec![]),
        golden::<Providers>(
            vec![Empty {}],
            vec![
                ProvidersReply {
                    host_id: HOST.to_owned(),
                    providers: vec![provider_spec()],
                    disabled: vec![DisabledInstance {
                        id: "local".to_owned(),
                        reason: "it did not start".to_owned(),
                    }],
                    engines: vec![],
                },
                ProvidersReply {
                    host_id: HOST.to_owned(),
                    providers: vec![],
                    disabled: vec![],
                    engines: vec![],
                },
                ProvidersReply {
                    host_id: HOST.to_owned(),
                    providers: vec![],
                    disabled: vec![],
                    engines: engines(),
                },
            ],
            vec![],
        ),
        golden::<Trusted>(
            vec![
                TrustedParams { dir: CWD.to_owned(), file: String::new(), sha256: String::new() },
                TrustedParams {
                    dir: CWD.to_owned(),
                    file: "AGENTS.md".to_owned(),
                    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
                },
            ],
            vec![TrustedReply { trusted: true }],
            vec![],
        ),
        golden::<Update>(
            vec![
                UpdateParams { contributes: contributions() },
                UpdateParams { contributes: Contributions::default() },
            ],
            vec![Empty {}],
            vec![],
        ),
        golden::<HostInfo>(vec![Empty {}], vec![HostInfoReply { host_id: HOST.to_owned() }], vec![]),
        golden::<HostAlive>(
            vec![HostAliveParams { host_id: HOST.to_owned() }],
            vec![HostAliveReply { alive: true, known: true }, HostAliveReply { alive: true, known: false }],
            vec![],
        ),
        golden::<Report>(
            vec![ReportParams {
                state: HealthState::Failed,
                reason: "the store lost its file; restart the host".to_owned(),
            }],
            vec![Empty {}],
            vec![],
        ),
        golden::<Health>(vec![Empty {}], vec![health], vec![]),
        golden::<Explain>(
            vec![ExplainParams { turn_id: TURN.to_owned() }],
            vec![
                explained(),
                explained_before_its_steps(),
                ExplainReply { waits: vec![wait(WaitOn::Engine, "bridge", None, 4)], ..explained() },
            ],
            vec![],
        ),
    ]
}
