//! A file read in large blocks: an ELF reader asks for some thirty small pieces that lie in three or four places.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

const BLOCK_BYTES: u64 = 64 * 1024;
/// Blocks kept; the one read longest ago goes first.
const BLOCKS_MAX: usize = 4;

/// Reads `file` through a few blocks.
pub(crate) struct Blocks {
    file: File,
    at: u64,
    /// Where each begins, and its bytes.
    blocks: Vec<(u64, Vec<u8>)>,
}

impl Blocks {
    pub(crate) fn new(file: File) -> Self {
        Self { file, at: 0, blocks: Vec::new() }
    }

    fn block(&mut self, begin: u64) -> io::Result<&[u8]> {
        if let Some(idx) = self.blocks.iter().position(|(at, _)| *at == begin) {
            return Ok(&self.blocks[idx].1);
        }
        let mut bytes = vec![0; usize::try_from(BLOCK_BYTES).expect("64 KiB")];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], begin + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks.remove(0);
        }
        self.blocks.push((begin, bytes));
        Ok(self.blocks.last().map_or(&[], |(_, bytes)| bytes))
    }
}

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let begin = at - at % BLOCK_BYTES;
        let block = self.block(begin)?;
        let rest = block.get(usize::try_from(at - begin).expect("below 64 KiB")..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Blocks {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_of_a_file_is_what_stands_there() {
        let bytes: Vec<u8> = (0..400_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let mut blocks = Blocks::new(File::open(file.path()).unwrap());
        for (at, len) in [(0, 64), (399_990, 10), (65_530, 20), (131_072, 1), (200_000, 130_000), (3, 0)] {
            let mut piece = vec![0; len];
            blocks.seek(SeekFrom::Start(at)).unwrap();
            blocks.read_exact(&mut piece).unwrap();
            let at = usize::try_from(at).unwrap();
            assert!(piece == bytes[at..at + len], "{len} bytes at {at}");
        }
        blocks.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(blocks.read(&mut [0; 8]).unwrap(), 0);
    }
}
