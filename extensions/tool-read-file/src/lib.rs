//! Gives the model the tool read_file.
