//! `glob`: paths by their names.

use crate::args::GlobArgs;
use crate::names::Names;
use crate::output::{Output, not_looked_at};
use crate::place::{Origin, Place};
use crate::stop::Stop;
use crate::walk::{Also, walk};
use dispatch_sdk::contracts::tool::RunReply;
use serde_json::json;
use std::ops::ControlFlow;

/// Errors: what the model is told.
pub(crate) fn glob(args: &GlobArgs, origin: &Origin<'_>, stop: &Stop) -> Result<RunReply, String> {
    let names = Names::new(&args.pattern)?;
    let place = Place::resolve(origin, &args.path)?;
    if !place.is_directory {
        return Err(format!("cannot search `{}` for names: it is a file; name a directory", args.path));
    }
    let also = Also { hidden: args.hidden, ignored: args.ignored };
    let mut output = Output::default();
    let walked = walk(&place, also, stop, |entry, _| {
        let path = entry.path();
        if names.is_match(&place.root, path) && place.is_inside(path) && !output.push_path(&place.shown(path))
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let detail = json!({ "paths": output.n_found, "more": output.more || walked.stopped.is_some() });
    let nothing = format!("(no file below `{}` matches{})", args.path, not_looked_at(also, None));
    Ok(RunReply {
        content: output.finish("paths", &nothing, &walked),
        is_error: false,
        detail,
        ..RunReply::default()
    })
}
