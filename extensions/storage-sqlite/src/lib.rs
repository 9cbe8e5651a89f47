//! Keeps all state in one SQLite file.
