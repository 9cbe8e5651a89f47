//! The check that admits a library, and its mapping.
//!
//! A library is never unloaded: code of it may still run on threads of its own.

use crate::cache::{Copy, LibraryCache};
use crate::section::{self, Section, SectionError};
use dispatch_abi::abi_stable::library::AbiHeaderRef;
use dispatch_abi::{
    ABI_VERSION, EXPORT_SYMBOL, InitError, ModuleRef, init_known_module, init_module, layout_report,
};
use dispatch_compose::Manifest;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::path::{Path, PathBuf};

/// Most bytes of abi_stable's report in a refusal; the whole goes to the debug log, capped as well.
const REPORT_BYTES_MAX: usize = 1024;
const DEBUG_REPORT_BYTES_MAX: usize = 64 * 1024;

/// A library that is mapped for good.
pub struct LoadedLibrary {
    /// Where it begins.
    pub module: ModuleRef,
    /// The private copy that is mapped.
    pub copy: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

/// Loads the library of `manifest` from `path`: copies it into the cache, reads its section there, checks, maps.
///
/// The error is one line that names both sides and the mend.
pub fn load(cache: &LibraryCache, path: &Path, manifest: &Manifest) -> Result<LoadedLibrary, String> {
    let cached = cache.copy_of(path)?;
    let section = Section::read(&cached.path).map_err(|e| e.describe(&manifest.id, path))?;
    admit(&section, path, manifest)?;
    let module = map(&cached, path, manifest, &section.abi)?;
    if !cached.admitted {
        cache.note_admitted(&cached.sha256);
    }
    Ok(LoadedLibrary { module, copy: cached.path, sha256: cached.sha256 })
}

/// What the loader would refuse of `library` without running a byte of it: machine, ABI, panic strategy, manifest, symbol.
///
/// The error is the loader's own line.
pub fn inspect(library: &Path, manifest: &Manifest) -> Result<(), String> {
    let describe = |e: SectionError| e.describe(&manifest.id, library);
    admit(&Section::read(library).map_err(describe)?, library, manifest)?;
    section::exports(library).map_err(describe)
}

fn admit(section: &Section, path: &Path, manifest: &Manifest) -> Result<(), String> {
    let id = &manifest.id;
    let (theirs, ours) = (major(&section.abi), major(ABI_VERSION));
    if theirs != ours {
        return Err(format!(
            "cannot load `{id}`: built for ABI {}, this kernel speaks {ABI_VERSION}; rebuild it with a dispatch-sdk of ABI {ours}.x ({})",
            section.abi,
            path.display()
        ));
    }
    if section.panic != "unwind" {
        return Err(format!(
            "cannot load `{id}`: built with `panic = \"{}\"`, and a panic in it would end this process; rebuild it with `panic = \"unwind\"` ({})",
            section.panic,
            path.display()
        ));
    }
    let embedded = Manifest::parse(path, &section.manifest)
        .map_err(|problems| format!("cannot load `{id}`: {problems}"))?;
    if embedded != *manifest {
        return Err(format!(
            "cannot load `{id}`: the library changed while the build was being resolved; start again ({})",
            path.display()
        ));
    }
    Ok(())
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

#[expect(unsafe_code, reason = "mapping a library and reading its header is what this module is for")]
fn map(copy: &Copy, path: &Path, manifest: &Manifest, abi: &str) -> Result<ModuleRef, String> {
    let id = &manifest.id;
    let cannot = |what: String| format!("cannot load `{id}` from {}: {what}", path.display());
    // SAFETY: the constructors of an extension are trusted like the host itself (capabilities in-process are advisory);
    // the copy is private to this user and never written after its rename.
    let library = unsafe { Library::open(Some(&copy.path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|e| cannot(e.to_string()))?;
    // SAFETY: the section was written by `export!`, which gives this very symbol this very type; `init_module` checks
    // the header's magic and every layout behind it before anything is used.
    let header = unsafe { library.get::<AbiHeaderRef>(EXPORT_SYMBOL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| SectionError::NoSymbol.describe(id, path))?;
    // Leaked on purpose, also when it is refused: its constructors have run.
    std::mem::forget(library);
    let made = if copy.admitted {
        // SAFETY: leaked just above; the cache noted that this host admitted these very bytes, by the hash in their name.
        unsafe { init_known_module(header) }
    } else {
        // SAFETY: the library was leaked just above, so it stays mapped for the rest of the process.
        unsafe { init_module(header) }
    };
    made.map_err(|e| match e {
        InitError::Header(text) => cannot(format!("its header is not one of ABI {ABI_VERSION}: {text}; rebuild it")),
        InitError::Constructor(text) => cannot(format!("its module could not be made: {text}")),
        InitError::Layout(report) => {
            let capped = &report[..report.floor_char_boundary(DEBUG_REPORT_BYTES_MAX)];
            tracing::debug!(extension = %id, report = capped, "layout report");
            let short = layout_report(&report, REPORT_BYTES_MAX);
            cannot(format!("its layout of ABI {abi} fits this kernel's ({ABI_VERSION}) in neither direction: {short}; rebuild it with this kernel's dispatch-sdk"))
        }
    })
}
