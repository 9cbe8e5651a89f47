//! The `.dispatch` section: read before a byte of the library runs.

use crate::blocks::Blocks;
use dispatch_abi::{EXPORT_SYMBOL, SECTION_NAME, SETTINGS_SECTION_NAME};
use dispatch_compose::SETTINGS_BYTES_MAX;
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{Architecture, Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache};
use serde::Deserialize;
use std::fs::File;
use std::path::Path;

/// Room for the line about the build, in bytes; the manifest follows it.
const LINE_BYTES_MAX: usize = 1024;
const SECTION_BYTES_MAX: u64 = (dispatch_compose::MANIFEST_BYTES_MAX + LINE_BYTES_MAX) as u64;

/// What a library says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) abi: String,
    pub(crate) sdk: String,
    pub(crate) rustc: String,
    pub(crate) panic: String,
    /// The bytes of `extension.toml`.
    pub(crate) manifest: Vec<u8>,
    /// The schema of its configuration; a library of before there was one has none.
    pub(crate) settings: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct Line {
    abi: String,
    #[serde(default)]
    sdk: String,
    #[serde(default)]
    rustc: String,
    #[serde(default)]
    panic: String,
}

/// Why there is no section to read.
#[derive(Debug)]
pub(crate) enum SectionError {
    Io(std::io::Error),
    /// Not a 64-bit ELF file, or cut short.
    NotALibrary(String),
    /// A library, but not of an extension.
    Absent,
    /// A section, and nothing to begin with.
    NoSymbol,
    /// Built for another kind of machine.
    OtherMachine(String),
    /// A section that is not as `export!` writes it.
    Malformed(String),
}

impl SectionError {
    /// One line for a person.
    pub(crate) fn describe(&self, id: &str, path: &Path) -> String {
        let what = match self {
            Self::Io(e) => e.to_string(),
            Self::NotALibrary(e) => format!("it is not a whole ELF library ({e}); build or copy it again"),
            Self::Absent => {
                format!("it has no `{SECTION_NAME}` section; an extension says `dispatch_sdk::export!` once")
            }
            Self::NoSymbol => {
                format!("it does not export the symbol `{EXPORT_SYMBOL}`; use `dispatch_sdk::export!` once")
            }
            Self::OtherMachine(machine) => {
                format!(
                    "it is built for {machine}, this host for {}; build it for this one",
                    std::env::consts::ARCH
                )
            }
            Self::Malformed(e) => format!("its `{SECTION_NAME}` section is damaged ({e}); build it again"),
        };
        format!("cannot load `{id}` from {}: {what}", path.display())
    }
}

/// Whether the library is one for this machine that exports what the loader begins with.
pub(crate) fn exports(path: &Path) -> Result<(), SectionError> {
    let cache = ReadCache::new(Blocks::new(File::open(path).map_err(SectionError::Io)?));
    let elf =
        ElfFile64::<Endianness, _>::parse(&cache).map_err(|e| SectionError::NotALibrary(e.to_string()))?;
    let ours = match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        _ => None,
    };
    if ours.is_some_and(|ours| ours != elf.architecture()) {
        return Err(SectionError::OtherMachine(format!("{:?}", elf.architecture())));
    }
    let is_it = |symbol: ElfSymbol64<'_, '_, Endianness, _>| {
        symbol.is_definition() && symbol.name_bytes() == Ok(EXPORT_SYMBOL.as_bytes())
    };
    elf.dynamic_symbols().any(is_it).then_some(()).ok_or(SectionError::NoSymbol)
}

impl Section {
    /// Reads the section; only the parts of the file that it takes.
    pub(crate) fn read(path: &Path) -> Result<Self, SectionError> {
        let file = File::open(path).map_err(SectionError::Io)?;
        if !file.metadata().map_err(SectionError::Io)?.is_file() {
            return Err(SectionError::NotALibrary("not a regular file".to_owned()));
        }
        let cache = ReadCache::new(Blocks::new(file));
        let elf = ElfFile64::<Endianness, _>::parse(&cache)
            .map_err(|e| SectionError::NotALibrary(e.to_string()))?;
        let section = elf.section_by_name(SECTION_NAME).ok_or(SectionError::Absent)?;
        if section.size() > SECTION_BYTES_MAX {
            return Err(SectionError::Malformed(format!(
                "{} bytes long, at most {SECTION_BYTES_MAX}",
                section.size()
            )));
        }
        let bytes = section.data().map_err(|e| SectionError::NotALibrary(e.to_string()))?;
        let end = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
        let Some(end) = end else {
            return Err(SectionError::Malformed("no line about the build".to_owned()));
        };
        let settings = match elf.section_by_name(SETTINGS_SECTION_NAME) {
            None => None,
            Some(section) if section.size() > SETTINGS_BYTES_MAX as u64 => {
                return Err(SectionError::Malformed(format!(
                    "its settings are {} bytes long, at most {SETTINGS_BYTES_MAX}",
                    section.size()
                )));
            }
            Some(section) => {
                let bytes = section.data().map_err(|e| SectionError::NotALibrary(e.to_string()))?;
                Some(bytes.to_vec())
            }
        };
        let line: Line =
            serde_json::from_slice(&bytes[..end]).map_err(|e| SectionError::Malformed(e.to_string()))?;
        Ok(Self {
            abi: line.abi,
            sdk: line.sdk,
            rustc: line.rustc,
            panic: line.panic,
            manifest: bytes[end + 1..].to_vec(),
            settings,
        })
    }
}
