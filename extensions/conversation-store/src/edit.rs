//! Making, renaming and putting away conversations: writes of the head alone, whatever turn is open.
//!
//! None of them moves a conversation in the list: `active_at` tells when something was last written to its log.

use crate::counts::Counts;
use crate::faults;
use crate::head::Head;
use crate::store::{self, Batch};
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations::{
    ArchiveParams, Conversation, CreateParams, CreateReply, ENGINE_NAME_BYTES_MAX, RenameParams,
    TITLE_CHARS_MAX, check_id,
};
use dispatch_sdk::{Fault, Host, fault};
/// Most bytes of a working directory: PATH_MAX of Linux.
const CWD_BYTES_MAX: usize = 4096;
/// Most bytes of the name of a provider or model.
const NAME_BYTES_MAX: usize = 256;

/// Makes an empty conversation.
///
/// Errors: `conflict` when it exists; after any other fault it may exist, or may not.
pub(crate) async fn create(host: &Host, counts: &Counts, params: CreateParams) -> Result<CreateReply, Fault> {
    check(&params)?;
    let id = params.conversation_id.unwrap_or_else(|| host.new_id());
    let at = host.now_ms();
    let head = Head {
        title: params.title.unwrap_or_default(),
        created_at: at,
        active_at: at,
        cwd: params.cwd.unwrap_or_default(),
        provider: params.provider.unwrap_or_default(),
        model: params.model.unwrap_or_default(),
        engine: params.engine.unwrap_or_default(),
        ..Head::default()
    };
    for _ in 0..CONFLICT_RETRIES_MAX {
        match Batch::new(&id, None, &head).commit(host, counts).await {
            Ok((_, durable)) => return Ok(CreateReply { conversation: head.conversation(&id), durable }),
            Err(fault) if fault.is(fault::CONFLICT) => {}
            Err(fault) => return Err(fault),
        }
        if store::head(host, &id).await?.is_some() {
            return Err(faults::exists(&id));
        }
    }
    Err(faults::busy(&id, CONFLICT_RETRIES_MAX))
}

pub(crate) async fn rename(
    host: &Host,
    counts: &Counts,
    params: &RenameParams,
) -> Result<Conversation, Fault> {
    check_title(&params.title)?;
    change(host, counts, &params.conversation_id, |head| head.title.clone_from(&params.title)).await
}

pub(crate) async fn archive(
    host: &Host,
    counts: &Counts,
    params: &ArchiveParams,
) -> Result<Conversation, Fault> {
    change(host, counts, &params.conversation_id, |head| head.archived = params.archived).await
}

/// Changes a head; what is so already costs no commit.
async fn change(
    host: &Host,
    counts: &Counts,
    id: &str,
    change: impl Fn(&mut Head),
) -> Result<Conversation, Fault> {
    check_id(id)?;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let before = store::head_of(host, id).await?;
        let mut head = before.head.clone();
        change(&mut head);
        if head == before.head {
            return Ok(head.conversation(id));
        }
        match Batch::new(id, Some(&before), &head).commit(host, counts).await {
            Ok(_) => return Ok(head.conversation(id)),
            Err(fault) if fault.is(fault::CONFLICT) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(faults::busy(id, CONFLICT_RETRIES_MAX))
}

fn check(params: &CreateParams) -> Result<(), Fault> {
    params.conversation_id.as_deref().map_or(Ok(()), check_id)?;
    params.title.as_deref().map_or(Ok(()), check_title)?;
    if let Some(cwd) = &params.cwd {
        check_name("working directory", cwd, CWD_BYTES_MAX)?;
        if !cwd.starts_with('/') {
            return Err(invalid(format!("the working directory `{cwd}` is not absolute; begin it with `/`")));
        }
    }
    params.provider.as_deref().map_or(Ok(()), |name| check_name("provider", name, NAME_BYTES_MAX))?;
    params.engine.as_deref().map_or(Ok(()), |name| check_name("engine", name, ENGINE_NAME_BYTES_MAX))?;
    params.model.as_deref().map_or(Ok(()), |name| check_name("model", name, NAME_BYTES_MAX))?;
    match (&params.provider, &params.model) {
        (None, Some(model)) => Err(invalid(format!("the model `{model}` needs a `provider`; name it too"))),
        (None | Some(_), _) => Ok(()),
    }
}

fn check_title(title: &str) -> Result<(), Fault> {
    let n_chars = title.chars().count();
    if n_chars > TITLE_CHARS_MAX {
        return Err(invalid(format!(
            "a title of {n_chars} characters is longer than {TITLE_CHARS_MAX}; shorten it"
        )));
    }
    if title.trim().is_empty() {
        return Err(invalid("a title needs something visible".to_owned()));
    }
    check_printable("title", title)
}

fn check_name(what: &str, name: &str, bytes_max: usize) -> Result<(), Fault> {
    if !(1..=bytes_max).contains(&name.len()) {
        return Err(invalid(format!(
            "the {what} has {} bytes; use 1 to {bytes_max}, or leave it out",
            name.len()
        )));
    }
    check_printable(what, name)
}

fn check_printable(what: &str, text: &str) -> Result<(), Fault> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(invalid(format!("the {what} holds the control character `{}`", c.escape_unicode()))),
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(fault::INVALID, message)
}
