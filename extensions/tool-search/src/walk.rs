//! The files below a directory, in the order of their paths, without what version control ignores.
//!
//! It must not know what is sought in them.

use crate::ignored::Ignored;
use crate::place::Place;
use crate::stop::{Stop, Stopped};
use ignore::{DirEntry, WalkBuilder};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How a walk went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) stopped: Option<Stopped>,
    /// Files and directories that could not be read.
    pub(crate) n_unread: u64,
    /// Ignore files hold more patterns than were read.
    pub(crate) ignores_cut: bool,
}

/// What a walk looks at that it would pass over by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Also {
    pub(crate) hidden: bool,
    pub(crate) ignored: bool,
}

/// Visits everything but directories; links are visited, never followed.
pub(crate) fn walk(
    place: &Place,
    also: Also,
    stop: &Stop,
    mut visit: impl FnMut(&DirEntry, &mut Walked) -> ControlFlow<()>,
) -> Walked {
    let mut walked = Walked::default();
    let mut builder = WalkBuilder::new(&place.root);
    let ignored = Arc::new(Ignored::new(place.opener(), place.top()));
    let (barred, ignores) = (Arc::clone(&place.barred), Arc::clone(&ignored));
    builder
        // The crate's own reading of ignore files follows links and knows no bound.
        .standard_filters(false)
        .hidden(!also.hidden)
        .follow_links(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(move |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0
                || (entry.file_name() != ".git"
                    && (also.ignored || !ignores.leaves_out(entry.path(), is_dir))
                    && !barred.hides(entry.path()))
        });
    for entry in builder.build() {
        walked.stopped = stop.reached();
        if walked.stopped.is_some() {
            break;
        }
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_dir()) => {}
            Ok(entry) => {
                if visit(&entry, &mut walked).is_break() {
                    break;
                }
            }
            Err(_) => walked.n_unread += 1,
        }
    }
    walked.ignores_cut = ignored.is_cut();
    walked
}
