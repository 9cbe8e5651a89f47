//! What an extension author sees: one trait, one macro, typed calls and streams.
//!
//! It must not know the kernel or any extension; it speaks to the host through `dispatch-abi` alone.
//!
//! ```ignore
//! export!(Clock);
//!
//! impl Extension for Clock {
//!     fn open(_host: Host, _config: Config) -> Result<Self, Fault> { Ok(Clock) }
//!     fn verbs(verbs: &mut Verbs<Self>) { verbs.on(tool::Run, Self::run); }
//!     async fn start(self: Arc<Self>) -> Result<Contributions, Fault> { Ok(Contributions { tools: vec![spec()], ..Default::default() }) }
//! }
//! ```
//! See `extensions/README.md` for the whole path.

mod adapter;
mod arguments;
mod backoff;
mod call;
mod config;
mod export;
mod extension;
mod guard;
mod hex;
mod host;
mod inner;
mod logging;
mod open_calls;
mod queues;
mod runtime;
mod scan_page;
mod section;
mod stack;
mod stream;
mod topics;
mod upload;
mod watches;
mod whole_number;

pub use arguments::arguments;
pub use backoff::Backoff;
pub use call::Call;
pub use config::Config;
pub use dispatch_abi::SharedBytes;
pub use dispatch_contracts as contracts;
pub use dispatch_contracts::Contributions;
pub use dispatch_contracts::kernel::NoSettings;
pub use dispatch_contracts::{Fault, Item, Meta, Mode, Verb, fault};
pub use extension::{Extension, Topic, Verbs};
pub use hex::hex;
pub use host::Host;
pub use scan_page::ScanPage;
pub use stream::{CallStream, RawItem, RawStream};
pub use upload::{UPLOAD_IDLE_MS_MAX, UPLOADS_MAX, UploadPart, blob_frame, too_many_uploads};
pub use watches::{Watch, Watches};
pub use whole_number::whole_number;

/// What `export!` and the testkit reach; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::adapter::open;
    pub use crate::export::header;
    pub use crate::section::{LINE, concat, line};
    pub use dispatch_abi as abi;
}
