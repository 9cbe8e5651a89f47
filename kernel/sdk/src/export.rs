//! `export!`: the one symbol and the one section of an extension library.
#![allow(
    unsafe_code,
    reason = "abi_stable asks for an unsafe promise about the constructor; see the SAFETY line"
)]

use crate::extension::Extension;
use dispatch_abi::abi_stable::library::{__call_root_module_loader, CheckTypeLayout, RootModuleResult};
use dispatch_abi::abi_stable::prefix_type::PrefixTypeTrait;
use dispatch_abi::{ExtensionHeader, Module, ModuleRef};

/// The header that the exported symbol points at.
pub const fn header<E: Extension>() -> ExtensionHeader {
    // SAFETY: `construct::<E>` returns a `ModuleRef`, the very type named here.
    unsafe { ExtensionHeader::from_constructor::<ModuleRef>(construct::<E>, CheckTypeLayout::Yes) }
}

extern "C" fn construct<E: Extension>() -> RootModuleResult {
    __call_root_module_loader(module::<E>)
}

fn module<E: Extension>() -> ModuleRef {
    Module { abi_version, open: crate::adapter::open::<E> }.leak_into_prefix()
}

extern "C" fn abi_version() -> u32 {
    1
}

/// Makes the crate an extension: `export!(MyExtension);`, once, beside an `extension.toml` next to `Cargo.toml`.
///
/// `export!(MyExtension, settings);` embeds `src/settings.json` too, the JSON Schema of its configuration, so that the
/// host can check and explain it without running a byte. The testkit's `settings_test!` writes and keeps that file.
#[macro_export]
macro_rules! export {
    ($extension:ty, settings) => {
        const _: () = {
            const SETTINGS: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings.json"));

            #[used]
            #[unsafe(link_section = ".dispatch_settings")]
            static SECTION: [u8; SETTINGS.len()] =
                *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings.json"));
        };
        $crate::export!($extension);
    };
    ($extension:ty) => {
        const _: () = {
            use $crate::__private as sdk;

            const MANIFEST: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/extension.toml"));

            #[used]
            #[unsafe(link_section = ".dispatch")]
            static SECTION: [u8; sdk::LINE + MANIFEST.len()] =
                sdk::concat(&sdk::line(cfg!(panic = "unwind")), MANIFEST);

            #[unsafe(export_name = "dispatch_extension")]
            static HEADER: sdk::abi::ExtensionHeader = sdk::header::<$extension>();
        };
    };
}
