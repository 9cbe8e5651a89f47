//! A toy that answers, streams, hangs and panics on request; for tests of the waist.
