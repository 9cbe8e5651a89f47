//! `dispatch doctor`: what the host can say of itself, and what each instance of the build says of itself.
//!
//! It must not need a build that holds, or a host that runs; and it must not take work: nothing is asked to serve.

mod findings;
mod host;
mod instances;

use crate::argv::Invocation;
use crate::boot;
use crate::exit::{FAILED, OK, Refusal};
use crate::output::out;
use crate::policy;
use dispatch_contracts::instance::CheckStatus;
use dispatch_contracts::kernel::HOST_INSTANCE;
use findings::{Group, in_json, in_text};

/// Checks everything; 1 if anything fails.
pub(crate) fn run(invocation: &Invocation, as_json: bool) -> Result<u8, Refusal> {
    // A word of the command line that means nothing is no finding.
    policy::of(dispatch_compose::Policy::default(), &invocation.options.allow, policy::Unsaid::IsDenied)?;
    let (checks, composed) = host::look(invocation);
    let mut groups = vec![Group { instance: HOST_INSTANCE.to_owned(), checks }];
    if !as_json {
        // First of all, for an instance may take the whole process with it.
        out(&in_text(&groups[0]))?;
    }
    if let Some(composed) = composed {
        let allow = &invocation.options.allow;
        let show = |found: &[Group]| match as_json {
            true => Ok(OK),
            false => out(&found.iter().map(in_text).collect::<String>()),
        };
        groups.extend(boot::block_on(instances::look(composed, allow, show))?);
    }
    if as_json {
        out(&in_json(&groups))?;
    }
    let fails = |group: &Group| group.checks.iter().any(|check| check.status == CheckStatus::Fail);
    Ok(if groups.iter().any(fails) { FAILED } else { OK })
}
