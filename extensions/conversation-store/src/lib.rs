//! Keeps conversations: one log each, and the messages projected from it.
