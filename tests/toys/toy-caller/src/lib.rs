//! A toy that calls another extension; for tests of the waist.
