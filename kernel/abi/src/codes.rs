//! The numbers that both sides of a call stream must agree on.

/// Answer of `Host::emit`: the frame was not taken; await `drained`, then send it again.
pub const EMIT_FULL: i64 = -1;

/// Answer of `Host::emit`: the frame was not taken and never will be; the call is over.
pub const EMIT_OVER: i64 = -2;

/// Answer of `Host::emit` when the caller asked for no frames: dropped, go on.
pub const EMIT_DROPPED: i64 = i64::MAX;

/// Credit in bytes that a call stream starts with.
pub const STREAM_CREDIT_BYTES: u64 = 64 * 1024;

/// Largest frame in bytes; a larger one is refused with a panic-free `EMIT_OVER` and a logged reason.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest body of a call, and of a reply, in bytes; a larger one is `too_large`.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
