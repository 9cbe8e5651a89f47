//! The root module of an extension library and the two-way check that admits it.

use crate::traits::{HostObj, InstanceObj};
use crate::types::{Bytes, Fault};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, LibHeader, RootModule};
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RResult;

/// The one symbol that an extension library exports.
pub const EXPORT_SYMBOL: &str = "dispatch_extension";

/// The ELF section with one JSON line `{abi, sdk, rustc, panic}`, a newline and the bytes of `extension.toml`.
pub const SECTION_NAME: &str = ".dispatch";

/// The ELF section with the JSON Schema of an extension's configuration; a library of before it has none.
pub const SETTINGS_SECTION_NAME: &str = ".dispatch_settings";

/// Version of the waist; the major is what must match.
pub const ABI_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the exported symbol points at.
pub type ExtensionHeader = LibHeader;

/// The root module of an extension library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
#[sabi(missing_field(panic))]
pub struct Module {
    /// Major version of the ABI the library was built against.
    pub abi_version: extern "C" fn() -> u32,
    /// Opens one instance. `config` is JSON `OpenParams` (contracts, `kernel`). May be called again for another instance.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(HostObj, Bytes) -> RResult<InstanceObj, Fault>,
}

impl RootModule for ModuleRef {
    abi_stable::declare_root_module_statics! {ModuleRef}
    const BASE_NAME: &'static str = "dispatch_extension";
    const NAME: &'static str = "dispatch_extension";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// Why a library's root module was not admitted.
#[derive(Debug)]
pub enum InitError {
    /// The header is not one of abi_stable 0.11.
    Header(String),
    /// The layouts are compatible in neither direction; the text is abi_stable's own report, possibly long.
    Layout(String),
    /// The constructor failed.
    Constructor(String),
}

/// Checks a library's header in both directions and initialises its root module.
///
/// A newer host loads an older library and the other way round: additions stand at the end of vtables, so one of the
/// two directions holds. Source: abi-measurements, "Additive evolution".
///
/// # Safety
/// `header` must be the value of [`EXPORT_SYMBOL`] of a library that stays loaded for the rest of the process.
pub unsafe fn init_module(header: AbiHeaderRef) -> Result<ModuleRef, InitError> {
    let header: &'static LibHeader = header.upgrade().map_err(|e| InitError::Header(e.to_string()))?;
    let host = <ModuleRef as StableAbi>::LAYOUT;
    let Some(plugin) = header.layout() else {
        return Err(InitError::Layout("the library carries no layout".to_owned()));
    };
    if let Err(first) = check_layout_compatibility(host, plugin)
        && check_layout_compatibility(plugin, host).is_err()
    {
        return Err(InitError::Layout(format!("{first:#?}")));
    }
    // SAFETY: the layouts were found compatible in one direction just above; the caller keeps the library loaded.
    unsafe { make_root_module(header) }
}

/// Initialises the root module of a library whose layout was checked before: the check takes longer than all the rest.
///
/// # Safety
/// As [`init_module`]; and [`init_module`] must have admitted a library of these very bytes in a host of the very bytes
/// of this one.
pub unsafe fn init_known_module(header: AbiHeaderRef) -> Result<ModuleRef, InitError> {
    let header: &'static LibHeader = header.upgrade().map_err(|e| InitError::Header(e.to_string()))?;
    // SAFETY: the caller vouches for the layout, and keeps the library loaded.
    unsafe { make_root_module(header) }
}

/// # Safety
/// The layouts behind the header must be compatible with this crate's in one direction.
unsafe fn make_root_module(header: &'static LibHeader) -> Result<ModuleRef, InitError> {
    // SAFETY: the caller's.
    unsafe { header.init_root_module_with_unchecked_layout::<ModuleRef>() }
        .map_err(|e| InitError::Constructor(e.to_string()))
}

/// Shortens abi_stable's report to one line of at most `bytes_max` bytes: what differs, where, and how.
///
/// The place is a path of fields and parameters from the root module on: `open.__returns.….cancel.param_1`.
pub fn layout_report(full: &str, bytes_max: usize) -> String {
    let lines: Vec<&str> = full.lines().map(str::trim).collect();
    let (mut short, mut place, mut in_place) = (String::new(), Vec::new(), false);
    for (at, line) in lines.iter().enumerate() {
        if line.ends_with("error(s)inside:") {
            (place, in_place) = (Vec::new(), true);
        } else if line.starts_with("Layout of ") {
            in_place = false;
        } else if let Some(name) = line.strip_prefix("field_name:").filter(|_| in_place) {
            // A number is the field of a wrapper.
            place.extend(Some(name).filter(|name| name.parse::<u8>().is_err()));
        } else if let Some(what) = line.strip_prefix("Error:") {
            let how = match lines.get(at + 1..at + 5) {
                Some(["Expected:", expected, "Found:", found]) => format!(" ({expected}, not {found})"),
                _ => String::new(),
            };
            let separator = if short.is_empty() { "" } else { ", " };
            let next = format!("{separator}{what} at `{}`{how}", place.join("."));
            if short.len() + next.len() > bytes_max {
                break;
            }
            short.push_str(&next);
        }
    }
    short
}
