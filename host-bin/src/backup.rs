//! `dispatch backup`: a copy of what an instance keeps, made while it is used, or one put in its place.
//!
//! It must not know what is kept, or how: it asks whoever serves `instance.v1/backup` and `instance.v1/restore`.

use crate::argv::{BackupOrder, Invocation};
use crate::boot;
use crate::compose::{Composed, compose_to_boot};
use crate::dirs;
use crate::exit::{FAILED, NO_INPUT, Refusal, TRY_AGAIN};
use crate::output::out;
use crate::policy::{self, Unsaid};
use crate::stdin::Stdin;
use dispatch_contracts::command::Read;
use dispatch_contracts::instance::{Backup, BackupParams, Restore, RestoreParams};
use dispatch_contracts::kernel::HOST_INSTANCE;
use dispatch_contracts::{Fault, Verb as _, fault};
use dispatch_kernel::{Attached, Kernel};
use std::path::Path;

pub(crate) fn run(invocation: &Invocation, order: &BackupOrder) -> Result<u8, Refusal> {
    let composed = compose_to_boot(invocation)?;
    let done = boot::block_on(boot_and_ask(invocation, composed, order))?;
    out(&done)
}

async fn boot_and_ask(
    invocation: &Invocation,
    mut composed: Composed,
    order: &BackupOrder,
) -> Result<String, Refusal> {
    composed.tell_notes();
    // Whoever keeps something is needed, and nobody who works with it: over a damaged store those do not start.
    composed.require_nobody();
    let policy = policy::of(composed.plan.policy, &invocation.options.allow, Unsaid::IsDenied)?;
    let home = dirs::shown(&invocation.environment, &composed.dirs);
    boot::with_kernel(composed, policy, async |kernel| ask(kernel, order, &home).await).await
}

async fn ask(kernel: &Kernel, order: &BackupOrder, home: &str) -> Result<String, Refusal> {
    let host = kernel.attach::<Read, _>(HOST_INSTANCE, Stdin::without_command());
    match order {
        BackupOrder::Create { file, instance, force } => {
            let id = one_of(kernel.serving(Backup::NAME), instance.as_deref())?;
            create(&host, &id, absolute(file)?, *force, home).await
        }
        BackupOrder::Restore { file, instance } => {
            let id = one_of(kernel.serving(Restore::NAME), instance.as_deref())?;
            restore(&host, &id, absolute(file)?).await
        }
    }
}

async fn create(
    host: &Attached,
    id: &str,
    path: String,
    replace: bool,
    home: &str,
) -> Result<String, Refusal> {
    let params = BackupParams { path: path.clone(), replace };
    match host.call_named(Backup, id, &params).await {
        Ok(reply) => Ok(format!("`{id}` is backed up: {path}, {} bytes, checked\n", reply.bytes)),
        Err(fault) if fault.is(fault::CONFLICT) && !replace => {
            Err(Refusal::failed(format!("{}; or add `--force` to replace it", fault.message)))
        }
        Err(fault) if fault.is(fault::NOT_FOUND) => Err(Refusal {
            code: NO_INPUT,
            message: format!("{}; {home}: set DISPATCH_HOME to the home that is meant", fault.message),
        }),
        Err(fault) => Err(refused(id, "backed up", &fault)),
    }
}

async fn restore(host: &Attached, id: &str, path: String) -> Result<String, Refusal> {
    let reply = host.call_named(Restore, id, &RestoreParams { path: path.clone() }).await;
    let reply = reply.map_err(|fault| refused(id, "restored", &fault))?;
    Ok(format!("`{id}` is restored from {path}; what was there before is kept: {}\n", reply.kept))
}

fn refused(id: &str, what: &str, fault: &Fault) -> Refusal {
    let is_full = fault.is("no_space");
    let is_busy = fault.detail["reason"] == "busy" || fault.is(fault::OVERLOADED);
    let code = if is_busy || is_full { TRY_AGAIN } else { FAILED };
    Refusal { code, message: format!("`{id}` is not {what}: {fault}") }
}

/// The instance that is meant, of those that can.
fn one_of(able: Vec<String>, wanted: Option<&str>) -> Result<String, Refusal> {
    let listed = || able.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    match (wanted, able.as_slice()) {
        (None, [only]) => Ok(only.clone()),
        (Some(id), _) if able.iter().any(|one| one == id) => Ok(id.to_owned()),
        (_, []) => Err(Refusal::failed(
            "no instance of this build keeps anything that can be backed up; `dispatch ext graph` shows the build",
        )),
        (None, _) => {
            Err(Refusal::usage(format!("several instances can: {}; name one with `--instance`", listed())))
        }
        (Some(id), _) => Err(Refusal::usage(format!("`{id}` cannot; these can: {}", listed()))),
    }
}

/// Instances have no working directory.
fn absolute(file: &Path) -> Result<String, Refusal> {
    let absolute = std::path::absolute(file)
        .map_err(|e| Refusal::failed(format!("cannot tell where `{}` is: {e}", file.display())))?;
    let text = absolute.to_str().ok_or_else(|| Refusal::usage("the file's path is not UTF-8"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::USAGE;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn the_only_instance_need_not_be_named_and_one_of_several_must() {
        assert_eq!(one_of(ids(&["a"]), None).unwrap(), "a");
        assert_eq!(one_of(ids(&["a", "b"]), Some("b")).unwrap(), "b");
        let code = |able: &[&str], wanted| one_of(ids(able), wanted).unwrap_err().code;
        assert_eq!(code(&["a", "b"], None), USAGE);
        assert_eq!(code(&["a"], Some("c")), USAGE);
        assert_eq!(code(&[], None), FAILED);
    }
}
