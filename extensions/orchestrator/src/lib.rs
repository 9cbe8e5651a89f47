//! Starts, stops and watches turns, and commits what they make.
