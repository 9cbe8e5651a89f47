//! Gives the model the tool shell.
