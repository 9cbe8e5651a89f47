//! `instance.v1/check`: whether programs can start here, and whether files and cut output have their places.
//!
//! It changes nothing that stays: a file is made and removed again.

use crate::artifact;
use crate::program::{End, Launch, Program};
use crate::{ExecLocal, aside};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{CheckReply, CheckResult, CheckStatus};
use dispatch_sdk::fault::NOT_FOUND;
use dispatch_sdk::{Call, Fault};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A program that does nothing takes milliseconds.
const START_WAIT: Duration = Duration::from_secs(5);

impl ExecLocal {
    pub(crate) async fn check(self: Arc<Self>, call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        let mut checks = vec![self.programs().await];
        let id = call.host().new_id();
        checks.extend(aside(move || Ok([self.roots_there(), self.output_writable(&id)])).await?);
        Ok(CheckReply { checks })
    }

    /// Starts a shell that does nothing, as every program is started.
    async fn programs(&self) -> CheckResult {
        let argv = ["sh", "-c", "exit 0"].map(str::to_owned);
        let env = self.environment.clone();
        let launch = Launch { shim: &self.shim, argv: &argv, cwd: "/", dir: None, env };
        let reinstall = "start dispatch by its full path, or set `shim` to a command that can be run";
        let result = |status, summary: &str, recovery| result("programs", status, summary, recovery);
        let mut program = match Program::start(&launch) {
            Ok(program) => program,
            Err(fault) if fault.code == NOT_FOUND => return no_shell(&fault.message),
            Err(fault) => return result(CheckStatus::Fail, &fault.message, reinstall),
        };
        let ended = tokio::time::timeout(START_WAIT, program.fate.ended()).await;
        program.fate.close(START_WAIT).await;
        match ended {
            Ok(End::Code(0)) if self.shim.is_empty() => {
                let summary = "programs start without a guard: what leaves its process group stays behind";
                result(CheckStatus::Warn, summary, "leave `shim` out of the configuration")
            }
            Ok(End::Code(0)) => result(CheckStatus::Ok, "a shell starts under its guard", ""),
            Ok(End::NotExecuted(errno)) => {
                no_shell(&format!("cannot run `sh`: {}", std::io::Error::from_raw_os_error(errno)))
            }
            Ok(End::Code(code)) => {
                let summary = format!("a shell that does nothing ended with exit code {code}");
                result(CheckStatus::Fail, &summary, reinstall)
            }
            Ok(End::Signal(signal)) => {
                let summary = format!("a shell that does nothing was ended by signal {signal}");
                result(CheckStatus::Fail, &summary, reinstall)
            }
            Err(_) => {
                let summary = format!("a shell that does nothing runs for over {} s", START_WAIT.as_secs());
                result(CheckStatus::Fail, &summary, reinstall)
            }
        }
    }

    fn roots_there(&self) -> CheckResult {
        let Some(words) = self.roots.words() else {
            return result("roots", CheckStatus::Ok, "files of the whole machine are reached", "");
        };
        // `{cwd}` is another directory with each call.
        let is_missing = |root: &&String| Path::new(root).is_absolute() && !Path::new(root).is_dir();
        let missing: Vec<String> = words.iter().filter(is_missing).map(|root| format!("`{root}`")).collect();
        if missing.is_empty() {
            let summary = format!("files are reached beneath {}", words.join(", "));
            return result("roots", CheckStatus::Ok, &summary, "");
        }
        let summary = format!("no directory: {}", missing.join(", "));
        result("roots", CheckStatus::Fail, &summary, "make it, or take it out of `roots`")
    }

    fn output_writable(&self, id: &str) -> CheckResult {
        let result = |status, summary: &str, recovery| result("output", status, summary, recovery);
        let Some(dir) = &self.output_dir else {
            let summary = "this host has no cache directory; output that is cut is lost";
            return result(CheckStatus::Warn, summary, "");
        };
        let dir_shown = dir.display();
        match artifact::try_dir(dir, id) {
            Ok(()) => result(CheckStatus::Ok, &format!("output that is cut is kept in `{dir_shown}`"), ""),
            Err(error) => {
                let summary = format!("output that is cut is lost: cannot write in `{dir_shown}`: {error}");
                result(CheckStatus::Warn, &summary, "make room there, or make it writable")
            }
        }
    }
}

fn no_shell(summary: &str) -> CheckResult {
    result("programs", CheckStatus::Fail, summary, "install a shell as `sh` on the host's PATH")
}

fn result(name: &str, status: CheckStatus, summary: &str, recovery: &str) -> CheckResult {
    CheckResult { name: name.to_owned(), status, summary: summary.to_owned(), recovery: recovery.to_owned() }
}
