//! Asking the provider: the request, and its stream with its retries.

pub(crate) mod request;
pub(crate) mod stream;
