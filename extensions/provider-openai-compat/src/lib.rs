//! Speaks the Chat Completions wire to any compatible endpoint.
