//! `instance.v1/check`: whether the store below answers, and whether it keeps what it is given.

use crate::keys;
use crate::store;
use dispatch_sdk::contracts::instance::{CheckReply, CheckResult, CheckStatus};
use dispatch_sdk::contracts::storage;
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Fault, Host};

pub(crate) async fn check(host: &Host) -> CheckReply {
    let (status, summary, recovery) = match look(host).await {
        Ok(info) if info.durable => {
            (CheckStatus::Ok, format!("`{}` answers and is durable", info.engine), String::new())
        }
        Ok(info) => (
            CheckStatus::Warn,
            format!("`{}` answers and is not durable: conversations end with the host", info.engine),
            "put a durable store into the build, such as `storage-sqlite`".to_owned(),
        ),
        Err(fault) => (
            CheckStatus::Fail,
            format!("the store cannot be read: {fault}"),
            "look at the checks of the instance that provides `storage.v1`".to_owned(),
        ),
    };
    CheckReply { checks: vec![CheckResult { name: "store".to_owned(), status, summary, recovery }] }
}

/// Reads as well as asks: a store may know what it is and not be able to read.
async fn look(host: &Host) -> Result<storage::InfoReply, Fault> {
    store::any(host, keys::HEADS_START.to_owned(), keys::HEADS_END.to_owned()).await?;
    host.call(storage::Info, &Empty {}).await
}
