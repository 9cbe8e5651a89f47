//! Asking filters, and applying what they answer.

pub(crate) mod filter_ops;
pub(crate) mod filters;
