//! Where to listen: addresses as people write them, and the sockets behind them.
//!
//! It must not know HTTP. A socket that goes beyond this machine is refused unless the configuration says that TLS
//! stands in front.

use dispatch_sdk::Fault;
use dispatch_sdk::fault::{INVALID, UNAVAILABLE};
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// What is found at an address that is taken, and what to do.
pub(crate) const IN_USE: &str = "something listens there already, choose another";

/// Connections that wait to be taken.
const BACKLOG: u32 = 1_024;
/// Bytes that the kernel keeps for a client that does not read; the rest waits with the op.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A socket that listens.
pub(crate) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

impl Place {
    /// `127.0.0.1:7700`, `[::1]:0`, `localhost:7700`, `unix:/run/x.sock`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                return Ok(Self::Unix(path));
            }
        } else if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        } else if let Some(Ok(port)) = text.strip_prefix("localhost:").map(str::parse) {
            return Ok(Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        let message = format!(
            "cannot listen on `{text}`: it is no address; give `127.0.0.1:7700`, `[::1]:7700` or `unix:/path`"
        );
        Err(Fault::new(INVALID, message))
    }

    /// All of them, if each is an address that may be listened on.
    pub(crate) fn parse_all(texts: &[String], allow_plain_remote: bool) -> Result<Vec<Self>, Fault> {
        if texts.is_empty() {
            return Err(Fault::new(INVALID, "there is no address to listen on; give `listen` at least one"));
        }
        let places: Vec<_> = texts.iter().map(|text| Self::parse(text)).collect::<Result<_, _>>()?;
        for (place, text) in places.iter().zip(texts) {
            if let Self::Tcp(address) = place
                && !address.ip().to_canonical().is_loopback()
                && !allow_plain_remote
            {
                let message = format!(
                    "refusing to listen on `{text}`: it can be reached from other machines, and the token would go \
                     over the network in plain text; listen on 127.0.0.1 and put a proxy with TLS in front, or set \
                     `allow_plain_remote = true`"
                );
                return Err(Fault::new(INVALID, message));
            }
        }
        Ok(places)
    }

    /// Opens the socket. Must run inside tokio.
    pub(crate) fn bind(&self) -> Result<Listener, Fault> {
        let failed = |e: &std::io::Error| {
            let hint = match e.kind() {
                ErrorKind::AddrInUse => format!("; {IN_USE}"),
                ErrorKind::PermissionDenied => "; this user may not".to_owned(),
                _ => String::new(),
            };
            Fault::new(UNAVAILABLE, format!("cannot listen on `{self}`: {e}{hint}"))
        };
        match self {
            Self::Tcp(address) => bind_tcp(*address).map_err(|e| failed(&e)),
            Self::Unix(path) => {
                clear_stale(path)?;
                bind_unix(path).map_err(|e| failed(&e))
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// As clients are told it: `http://127.0.0.1:7700`, `unix:/run/x.sock`.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(_, address) => format!("http://{address}"),
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> std::io::Result<Listener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A host that is started again right away finds its port free.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok(Listener::Tcp(listener, bound))
}

fn bind_unix(path: &Path) -> std::io::Result<Listener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let listener = UnixListener::bind(path)?;
    // Until here the umask decides; whoever connects in between is still asked for its uid.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let found = std::fs::symlink_metadata(path)?;
    Ok(Listener::Unix(
        listener,
        SocketFile { path: path.to_owned(), device: found.dev(), inode: found.ino() },
    ))
}

/// Takes away the socket of a host that is gone; refuses when somebody answers on it, and when it is no socket.
fn clear_stale(path: &Path) -> Result<(), Fault> {
    let refused =
        |why: &str| Fault::new(UNAVAILABLE, format!("cannot listen on `unix:{}`: {why}", path.display()));
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(refused(&e.to_string())),
    };
    if !found.file_type().is_socket() {
        return Err(refused("something lies there that is no socket; choose another path"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(refused("another process answers there already")),
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|e| refused(&format!("the socket of a host that is gone lies there: {e}"))),
        Err(e) => Err(refused(&e.to_string())),
    }
}

/// The file of a unix socket; taken away when it is dropped, if it is still ours.
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            // The next host takes it away if this does not.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
