//! The smallest host: opens one library through the waist alone, starts it, and prints what it says of itself.
//!
//! `small-host LIBRARY`. It must not know the kernel: a fixture builds a copy of it with a later ABI in seconds, which
//! then loads the libraries of today.
#![expect(unsafe_code, reason = "mapping a library and reading its header is what a host does")]

use dispatch_abi::abi_stable::library::AbiHeaderRef;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RArc, RResult, RStr, RString};
use dispatch_abi::async_ffi::{FfiFuture, FutureExt as _};
use dispatch_abi::{
    ABI_VERSION, Bytes, CallOpts, EMIT_OVER, EXPORT_SYMBOL, Fault, Host, Host_TO, HostObj, InstanceObj,
    ModuleRef, Reply, SharedBytes, init_module,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::future::{Future, ready};
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

const OPEN_PARAMS: &[u8] = br#"{ "instance": "probed" }"#;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: small-host LIBRARY");
        return ExitCode::from(2);
    };
    match probe(&path) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("small-host: cannot use `{path}`: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn probe(path: &str) -> Result<Vec<String>, String> {
    let module = load(path)?;
    let host: HostObj = Host_TO::from_ptr(RArc::new(Deaf), TD_Opaque);
    let instance = match (module.open())(host, Bytes::from(OPEN_PARAMS)) {
        RResult::ROk(instance) => instance,
        RResult::RErr(fault) => return Err(format!("`open` failed: {}", fault.message)),
    };
    let started = match at_once(instance.start())? {
        RResult::ROk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        RResult::RErr(fault) => return Err(format!("`start` failed: {}", fault.message)),
    };
    let mut lines = vec![format!("host {ABI_VERSION}, library {}", (module.abi_version())()), started];
    lines.extend(additions(module, &instance));
    Ok(lines)
}

/// What the ABI of this host has beyond 1.0; a fixture with a later one asks for it here.
fn additions(_module: ModuleRef, _instance: &InstanceObj) -> Vec<String> {
    Vec::new()
}

fn load(path: &str) -> Result<ModuleRef, String> {
    // SAFETY: its constructors are trusted: the tests name libraries that they have built.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| e.to_string())?;
    // SAFETY: `export!` gives this symbol this type; `init_module` checks what stands behind it.
    let header = unsafe { library.get::<AbiHeaderRef>(EXPORT_SYMBOL.as_bytes()) }.map(|symbol| *symbol);
    let header = header.map_err(|e| e.to_string())?;
    std::mem::forget(library);
    // SAFETY: the library was leaked just above.
    unsafe { init_module(header) }.map_err(|e| format!("{e:?}"))
}

/// Polls once: `start` of the toys is inline and waits for nothing.
fn at_once<F: Future>(future: F) -> Result<F::Output, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("`start` waits for something".to_owned()),
    }
}

/// Serves nobody.
#[derive(Clone)]
struct Deaf;

fn refused<T: Send + 'static>() -> Reply<T> {
    let fault = Fault { code: "no_service".into(), message: "nobody is served".into(), detail: Bytes::new() };
    ready(RResult::RErr(fault)).into_ffi()
}

impl Host for Deaf {
    fn call(&self, _verb: RStr<'_>, _opts: CallOpts, _body: SharedBytes) -> Reply<SharedBytes> {
        refused()
    }
    fn emit(&self, _call_id: u64, _frame: SharedBytes) -> i64 {
        EMIT_OVER
    }
    fn drained(&self, _call_id: u64) -> Reply<u64> {
        refused()
    }
    fn credit(&self, _stream_id: u64, _bytes: u64) {}
    fn publish(&self, _topic: RStr<'_>, _data: SharedBytes) {}
    fn is_cancelled(&self, _call_id: u64) -> bool {
        true
    }
    fn sleep(&self, _ms: u64) -> FfiFuture<()> {
        ready(()).into_ffi()
    }
    fn now_ms(&self) -> u64 {
        0
    }
    fn new_id(&self) -> RString {
        RString::new()
    }
    fn log(&self, _level: u8, _target: RStr<'_>, _record: RStr<'_>) {}
    fn log_level_max(&self) -> u8 {
        0
    }
}
