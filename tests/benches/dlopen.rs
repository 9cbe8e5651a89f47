//! Maps libraries and looks up the one symbol of each, as barely as it can be done.
//!
//! It must not know what is in them.

use crate::Trouble;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::c_void;

/// The one symbol of an extension.
const SYMBOL: &[u8] = b"dispatch_extension";

/// Maps each library for good and finds its symbol.
#[expect(unsafe_code, reason = "mapping a library is what is measured")]
pub(crate) fn map_all(libraries: &[&str]) -> Result<(), Trouble> {
    for path in libraries {
        // SAFETY: the libraries are extensions of this workspace, whose constructors do nothing.
        let library = unsafe { Library::open(Some(*path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|e| format!("cannot map {path}: {e}"))?;
        // SAFETY: only the address is taken; nothing is read through it.
        let found = unsafe { library.get::<*const c_void>(SYMBOL) }.is_ok();
        if !found {
            return Err(format!("{path} does not export `dispatch_extension`"));
        }
        std::mem::forget(library);
    }
    Ok(())
}
