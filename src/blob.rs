//! The bytes of a file on their way: small ones in memory, large ones on disk.
//!
//! Owns how a file of unknown size is received within a limit and read piece by piece, so that a
//! large one is never in memory as a whole. The file on disk has no name: whatever ends the
//! process, nothing of it is left. It keeps nothing; [`crate::attachment`] does.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// What is larger goes to disk.
pub const IN_MEMORY_BYTES_MAX: usize = 256 << 10;
/// How much is read at once.
pub const PIECE_BYTES: usize = 64 << 10;

/// The content of a file; cheap to clone.
#[derive(Debug, Clone)]
pub enum Blob {
    /// In memory.
    Memory(Bytes),
    /// On disk.
    Disk(Arc<OnDisk>),
}

/// A file on disk that is read from several places.
#[derive(Debug)]
pub struct OnDisk {
    file: Mutex<File>,
    length: u64,
}

impl Blob {
    /// Returns the content of an open file of `length` bytes, which must not change any more.
    pub fn of_file(file: File, length: u64) -> Self {
        Self::Disk(Arc::new(OnDisk {
            file: Mutex::new(file),
            length,
        }))
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(disk) => disk.length,
        }
    }

    /// Returns whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns up to `length` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// When the disk cannot be read, or the file is shorter than it was.
    pub fn piece(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let left = self.len().saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let start = start.min(bytes.len());
                Ok(bytes.slice(start..start + length))
            }
            Self::Disk(disk) => {
                let mut piece = vec![0; length];
                let mut file = disk.file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut piece)?;
                Ok(Bytes::from(piece))
            }
        }
    }

    /// Returns the pieces in their order.
    pub fn pieces(&self) -> Pieces {
        Pieces {
            blob: self.clone(),
            offset: 0,
        }
    }

    /// Returns all of it when it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Blob::piece`].
    pub fn whole(&self, bytes_max: u64) -> io::Result<Option<Bytes>> {
        let length = self.len();
        if length > bytes_max {
            return Ok(None);
        }
        self.piece(0, usize::try_from(length).unwrap_or(usize::MAX))
            .map(Some)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(Bytes::from(bytes))
    }
}

/// The pieces of a [`Blob`].
#[derive(Debug)]
pub struct Pieces {
    blob: Blob,
    offset: u64,
}

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.blob.len() {
            return None;
        }
        let piece = self.blob.piece(self.offset, PIECE_BYTES);
        self.offset = match &piece {
            Ok(piece) => self.offset + piece.len() as u64,
            // An error ends it.
            Err(_) => self.blob.len(),
        };
        Some(piece)
    }
}

/// A file that was received whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its content.
    pub content: Blob,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
}

/// Why a file is not received any further.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Larger than the limit, in bytes.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// The disk does not take it.
    #[error("the file cannot be written to disk")]
    Disk(#[from] io::Error),
}

/// Receives a file piece by piece; what was received is gone when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    memory: Vec<u8>,
    disk: Option<File>,
    length: u64,
    length_max: u64,
    hash: Sha256,
}

impl Receiver {
    /// Receives a file of at most `length_max` bytes.
    pub fn new(length_max: u64) -> Self {
        Self {
            memory: Vec::new(),
            disk: None,
            length: 0,
            length_max,
            hash: Sha256::new(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn take(&mut self, piece: &[u8]) -> Result<(), ReceiveError> {
        self.length += piece.len() as u64;
        if self.length > self.length_max {
            return Err(ReceiveError::TooLarge(self.length_max));
        }
        self.hash.update(piece);
        if self.disk.is_none() && self.memory.len() + piece.len() > IN_MEMORY_BYTES_MAX {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.disk = Some(file);
        }
        match &mut self.disk {
            Some(file) => file.write_all(piece)?,
            None => self.memory.extend_from_slice(piece),
        }
        Ok(())
    }

    /// Returns how many bytes came so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns what was received.
    pub fn finish(self) -> Received {
        Received {
            sha256: hex::encode(self.hash.finalize()),
            content: match self.disk {
                Some(file) => Blob::of_file(file, self.length),
                None => Blob::from(self.memory),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(pieces: &[&[u8]], length_max: u64) -> Result<Received, ReceiveError> {
        let mut receiver = Receiver::new(length_max);
        for piece in pieces {
            receiver.take(piece)?;
        }
        Ok(receiver.finish())
    }

    #[test]
    fn a_large_file_goes_to_disk_and_comes_back_piece_by_piece() {
        let half: Vec<u8> = (0..IN_MEMORY_BYTES_MAX)
            .map(|at| (at % 251) as u8)
            .collect();
        let file = received(&[&half, b"and more"], u64::MAX).unwrap();
        assert!(matches!(file.content, Blob::Disk(_)));
        let mut expected = half;
        expected.extend_from_slice(b"and more");
        let pieces: Vec<Bytes> = file.content.pieces().collect::<io::Result<_>>().unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        assert_eq!(pieces.concat(), expected);
        assert_eq!(file.sha256, hex::encode(Sha256::digest(&expected)));
        assert_eq!(file.content.len(), expected.len() as u64);
    }

    #[test]
    fn a_small_file_stays_in_memory() {
        let file = received(&[b"a", b"bc"], 3).unwrap();
        assert!(matches!(&file.content, Blob::Memory(bytes) if bytes.as_ref() == b"abc"));
        assert_eq!(file.content.piece(1, 9).unwrap().as_ref(), b"bc");
        assert_eq!(file.content.piece(9, 9).unwrap().len(), 0);
        assert_eq!(file.content.whole(2).unwrap(), None);
    }

    #[test]
    fn a_file_above_the_limit_is_given_up() {
        let error = received(&[b"abc", b"d"], 3).unwrap_err();
        assert!(matches!(error, ReceiveError::TooLarge(3)));
    }
}
