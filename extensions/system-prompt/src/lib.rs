//! Writes the system prompt of a turn.
