//! Brings the command run.
