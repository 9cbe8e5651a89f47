//! How much memory is taken, of all namespaces together, and where it ends.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::storage::NO_SPACE;

/// Most bytes kept, unless the build sets `bytes_max`.
pub(crate) const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What one entry, blob, upload or part takes beside its bytes, about.
pub(crate) const ITEM_BYTES: u64 = 128;

#[derive(Debug)]
pub(crate) struct Room {
    taken: u64,
    bytes_max: u64,
}

impl Room {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { taken: 0, bytes_max }
    }

    /// Takes room for what comes and gives back that of what it replaces; a change that needs no more always fits.
    ///
    /// Errors: `no_space`; nothing has changed then.
    pub(crate) fn exchange(&mut self, coming: u64, going: u64) -> Result<(), Fault> {
        let after = self.taken - going + coming;
        if coming > going && after > self.bytes_max {
            let (taken, max) = (self.taken, self.bytes_max);
            let message = format!(
                "the memory of the store is full: {taken} of {max} bytes are taken and this needs {} more; nothing \
                 was written: delete something, set a larger `bytes_max`, or use a store on disk",
                coming - going
            );
            return Err(Fault::new(NO_SPACE, message));
        }
        self.taken = after;
        Ok(())
    }

    /// Gives room back.
    pub(crate) fn give_back(&mut self, going: u64) {
        self.taken -= going;
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}
