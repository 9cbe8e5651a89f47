//! `dispatch serve`: the build runs until it is told to end, and its instances take work from outside.
//!
//! It must not know what any instance serves: it asks each that answers `instance.v1/serve`, in order of activation.

mod drain;
mod reload;
mod supervisor;

use crate::argv::{Invocation, ServeOrder};
use crate::boot::{self, Booted};
use crate::compose::{Composed, compose_to_boot};
use crate::exit::{CONFIG, OK, Refusal, TRY_AGAIN};
use crate::policy::{self, Unsaid};
use crate::signals::{Ending, Hangups, Signals};
use crate::stdin::Stdin;
use dispatch_contracts::Verb as _;
use dispatch_contracts::command::Read;
use dispatch_contracts::instance::{Serve, ServeParams};
use dispatch_contracts::kernel::{HOST_INSTANCE, InstanceState};
use dispatch_contracts::plain::plain;
use dispatch_kernel::{Attached, Kernel};
use reload::Running;
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;
use supervisor::Supervisor;

/// Boots the build and serves until a signal.
pub(crate) fn run(invocation: &Invocation, order: &ServeOrder) -> Result<u8, Refusal> {
    allow_files();
    let composed = compose_to_boot(invocation)?;
    boot::block_on(boot_and_serve(invocation, composed, order))
}

/// Every client is an open file: up to the hard limit, since the soft one is meant for programs that use `select`.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(error = %e, "the limit of open files stays as it is");
    }
}

async fn boot_and_serve(
    invocation: &Invocation,
    composed: Composed,
    order: &ServeOrder,
) -> Result<u8, Refusal> {
    // Before anything else: a signal that comes while booting must find somebody.
    let mut signals = Signals::listen()?;
    let mut hangups = Hangups::listen()?;
    composed.tell_notes();
    let policy = policy::of(composed.plan.policy, &invocation.options.allow, Unsaid::IsDenied)?;
    let mut running = Running::of(&composed);
    let kernel = match boot::boot_until(composed, policy, &mut signals).await? {
        Booted::Runs(kernel) => kernel,
        Booted::Ended(ending) => return Ok(ending.code()),
    };
    let host = kernel.attach::<Read, _>(HOST_INSTANCE, Stdin::without_command());
    let began = tokio::select! {
        began = begin(&kernel, &host, order) => began,
        ending = signals.next() => {
            stop(kernel, &mut signals).await;
            return Ok(ending.code());
        }
    };
    let n_addresses = match began {
        Ok(n_addresses) => n_addresses,
        Err(refusal) => {
            stop(kernel, &mut signals).await;
            return Err(refusal);
        }
    };
    let supervisor = Supervisor::find();
    supervisor.ready(&format!("serving on {n_addresses} addresses"));
    let watchdog = supervisor.watch(&host);
    let ended = loop {
        tokio::select! {
            ending = signals.next() => break End::Told(ending),
            (id, reason) = kernel.failed() => break End::Failed { id, reason },
            () = hangups.next() => {}
        }
        supervisor.reloading();
        tokio::select! {
            () = reload::reload(invocation, &kernel, &host, &mut running) => supervisor.reloaded(),
            ending = signals.next() => break End::Told(ending),
        }
    };
    match &ended {
        End::Told(signal) => tracing::info!(?signal, drain_ms = order.drain_ms, "told to end"),
        End::Failed { id, reason } => {
            tracing::error!(instance = id, reason, "failed for good; the host ends")
        }
    }
    supervisor.stopping(Duration::from_millis(order.drain_ms));
    tokio::select! {
        () = drain::drain(&kernel, &host, order.drain_ms) => {}
        again = signals.next() => end_now(again.code()),
    }
    stop(kernel, &mut signals).await;
    // Until here it stands for a kernel that still answers.
    drop(watchdog);
    match ended {
        End::Told(_) => Ok(OK),
        End::Failed { id, reason } => {
            Err(Refusal::failed(format!("the host has ended, as `{id}` failed for good: {reason}")))
        }
    }
}

/// Why it serves no longer.
enum End {
    Told(Ending),
    /// What the build cannot do without will not work again in this process.
    Failed {
        id: String,
        reason: String,
    },
}

/// Asks every instance that serves, and prints where it can be reached; the number of addresses.
async fn begin(kernel: &Kernel, host: &Attached, order: &ServeOrder) -> Result<usize, Refusal> {
    let params = ServeParams { listen: order.listen.clone() };
    let mut listening = Vec::new();
    for id in kernel.serving(Serve::NAME) {
        let served = host.call_named(Serve, &id, &params).await;
        let reply = served.map_err(|fault| Refusal {
            // Whoever starts it tries again by itself when there is room.
            code: if fault.is("no_space") { TRY_AGAIN } else { CONFIG },
            message: format!("`{id}` cannot serve: {fault}"),
        })?;
        for address in reply.addresses {
            if !order.json {
                say(&format!("listening on {address}"));
            }
            listening.push((id.clone(), address));
        }
    }
    if listening.is_empty() && !order.listen.is_empty() {
        return Err(Refusal::config(nothing_listens(kernel)));
    }
    if order.json {
        let entry =
            |(instance, address): &(String, String)| json!({ "instance": instance, "address": address });
        let listening: Vec<_> = listening.iter().map(entry).collect();
        let mut stdout = std::io::stdout().lock();
        let line = format!("{}\n", json!({ "listening": listening }));
        stdout
            .write_all(line.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|e| Refusal::failed(format!("cannot write to standard output: {e}")))?;
    } else if listening.is_empty() {
        say("nothing in this build listens; it runs until it is told to end");
    }
    Ok(listening.len())
}

fn nothing_listens(kernel: &Kernel) -> String {
    let mut message = "nothing in this build listens, so `--listen` has no effect; \
                       add an extension that does, or leave it out"
        .to_owned();
    for instance in kernel.inventory().instances.iter().filter(|i| i.state == InstanceState::Disabled) {
        message.push_str(&format!("\n  `{}` is disabled: {}", instance.id, instance.reason));
    }
    message
}

fn say(line: &str) {
    // Nobody may be left to read it.
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}

/// Stops every instance in order; a signal ends the process at once.
async fn stop(kernel: Kernel, signals: &mut Signals) {
    tokio::select! {
        () = kernel.stop() => {}
        again = signals.next() => end_now(again.code()),
    }
}

fn end_now(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
