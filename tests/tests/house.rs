//! The house rules, as tests: each failure names the file, the rule and the mend.
//!
//! They must not know what the code does; they look at its text, its packages and its built libraries.

mod house {
    mod module_graph;
    mod rule;
    mod rust_text;
    mod tree;
    mod workspace;

    mod benches;
    mod builds;
    mod circles;
    mod codes;
    mod extension_shape;
    mod files;
    mod golden;
    mod layering;
    mod libraries;
    mod licences;
    mod mutants;
    mod settings;
    mod unsafe_code;
    mod words;
}
