//! The body of a request: in memory, or with large files that are read while it is sent.
//!
//! A template that asks for a large file gets a stand-in, which is replaced when the body is cut
//! into segments; so neither a file nor its Base64 is ever in memory as a whole.

use super::request::Files;
use crate::blob::{Blob, PIECE_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::{Arc, LazyLock};

/// Cannot be guessed, so no text from outside can stand in for a file.
static MARK: LazyLock<String> =
    LazyLock::new(|| format!("synchub-file-{}-", hex::encode(rand::random::<[u8; 16]>())));
/// Divisible by three, so that the Base64 of pieces is that of the whole.
const BASE64_PIECE_BYTES: usize = PIECE_BYTES / 3 * 3;

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    Whole(Bytes),
    /// Read while it is sent, in this order.
    Streamed(Arc<Vec<Segment>>),
}

/// A part of a body.
#[derive(Debug, Clone)]
pub enum Segment {
    /// As it stands.
    Bytes(Bytes),
    /// A file as it is.
    File(Blob),
    /// A file in Base64.
    Base64(Blob),
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(blob) => blob.len(),
            Self::Base64(blob) => blob.len().div_ceil(3) * 4,
        }
    }

    /// Returns the piece from `offset` of what it is made of, and where the next one begins.
    fn piece(&self, offset: u64) -> io::Result<(Bytes, u64)> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok((bytes.slice(start.min(bytes.len())..), bytes.len() as u64))
            }
            Self::File(blob) => {
                let piece = blob.piece(offset, PIECE_BYTES)?;
                let next = offset + piece.len() as u64;
                Ok((piece, next))
            }
            Self::Base64(blob) => {
                let piece = blob.piece(offset, BASE64_PIECE_BYTES)?;
                let next = offset + piece.len() as u64;
                Ok((Bytes::from(STANDARD.encode(piece)), next))
            }
        }
    }
}

impl Body {
    /// Joins segments; a body without large files is put together at once.
    pub(super) fn of(segments: Vec<Segment>) -> Self {
        let is_small = |segment: &Segment| match segment {
            Segment::Bytes(_) | Segment::File(Blob::Memory(_)) => true,
            Segment::File(Blob::Disk(_)) | Segment::Base64(_) => false,
        };
        if !segments.iter().all(is_small) {
            return Self::Streamed(Arc::new(segments));
        }
        let mut whole = BytesMut::new();
        for segment in &segments {
            match segment {
                Segment::Bytes(bytes) | Segment::File(Blob::Memory(bytes)) => {
                    whole.extend_from_slice(bytes);
                }
                Segment::File(Blob::Disk(_)) | Segment::Base64(_) => {}
            }
        }
        Self::Whole(whole.freeze())
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Streamed(segments) => segments.iter().map(Segment::length).sum(),
        }
    }

    /// Returns whether nothing is carried.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether it is read from disk while it is sent.
    pub fn is_streamed(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }

    /// Returns the pieces in their order; each reads at most 64 KiB of a file.
    pub fn pieces(&self) -> BodyPieces {
        BodyPieces {
            body: self.clone(),
            segment: 0,
            offset: 0,
        }
    }

    /// Returns the digest of all of it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest<D: sha2::Digest>(&self) -> io::Result<Vec<u8>> {
        let mut digest = D::new();
        match self {
            Self::Whole(bytes) => digest.update(bytes),
            Self::Streamed(_) => {
                for piece in self.pieces() {
                    digest.update(piece?);
                }
            }
        }
        Ok(digest.finalize().to_vec())
    }

    /// Returns all of it in memory; for bodies that are known to be small.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        match self {
            Self::Whole(bytes) => Ok(bytes.clone()),
            Self::Streamed(_) => {
                let pieces: Vec<Bytes> = self.pieces().collect::<io::Result<_>>()?;
                Ok(Bytes::from(pieces.concat()))
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

/// The pieces of a [`Body`].
#[derive(Debug)]
pub struct BodyPieces {
    body: Body,
    segment: usize,
    offset: u64,
}

impl Iterator for BodyPieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let segments = match &self.body {
            Body::Whole(bytes) => {
                let bytes = bytes.clone();
                self.segment += 1;
                return (self.segment == 1 && !bytes.is_empty()).then_some(Ok(bytes));
            }
            Body::Streamed(segments) => segments,
        };
        while let Some(segment) = segments.get(self.segment) {
            let piece = match segment.piece(self.offset) {
                Ok((piece, next)) => {
                    self.offset = next;
                    piece
                }
                Err(error) => {
                    // An error ends it.
                    self.segment = segments.len();
                    return Some(Err(error));
                }
            };
            if piece.is_empty() {
                (self.segment, self.offset) = (self.segment + 1, 0);
            } else {
                return Some(Ok(piece));
            }
        }
        None
    }
}

/// Returns what a template gets for the Base64 of a file: itself when it is small, else a
/// stand-in.
pub(super) fn base64_or_mark(sha256: &str, content: &Blob) -> String {
    match content {
        Blob::Memory(bytes) => STANDARD.encode(bytes),
        Blob::Disk(_) => format!("{}{sha256}-", *MARK),
    }
}

/// Returns whether a text has a stand-in.
pub(super) fn has_mark(text: &str) -> bool {
    text.contains(MARK.as_str())
}

/// A part of a rendered text: words of a template, or a file that is to be read.
pub(super) enum Cut<'a> {
    Text(&'a str),
    File(&'a Blob),
}

/// Cuts a rendered text at its stand-ins.
pub(super) fn cut<'a>(text: &'a str, files: &'a Files) -> Vec<Cut<'a>> {
    let mut cuts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK.as_str()) {
        cuts.push(Cut::Text(before));
        let file = after
            .split_once('-')
            .and_then(|(digest, behind)| Some((files.get(digest)?, behind)));
        rest = match file {
            Some((blob, behind)) => {
                cuts.push(Cut::File(blob));
                behind
            }
            // A template that cuts a stand-in in two gets nothing for it.
            None => after,
        };
    }
    cuts.push(Cut::Text(rest));
    cuts
}

/// Returns a rendered text as a person reads it, without the files in it.
pub(super) fn shown(text: String, files: &Files) -> String {
    if !has_mark(&text) {
        return text;
    }
    let cuts = cut(&text, files).into_iter().map(|cut| match cut {
        Cut::Text(text) => text.to_owned(),
        Cut::File(blob) => format!("({} bytes in Base64)", blob.len()),
    });
    cuts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Receiver;
    use sha2::{Digest as _, Sha256};

    fn large(bytes: &[u8]) -> (String, Blob) {
        let mut receiver = Receiver::new(u64::MAX);
        receiver.take(bytes).unwrap();
        let received = receiver.finish();
        assert!(matches!(received.content, Blob::Disk(_)));
        (received.sha256, received.content)
    }

    #[test]
    fn a_streamed_body_is_what_a_whole_one_would_be() {
        // Not divisible by three, nor by the size of a piece.
        let bytes: Vec<u8> = (0..1_000_001_u32).map(|at| (at % 253) as u8).collect();
        let (sha256, blob) = large(&bytes);
        let files = Files::from([(sha256.clone(), blob.clone())]);
        let text = format!("<a>{}</a>", base64_or_mark(&sha256, &blob));
        let segments = cut(&text, &files).into_iter().map(|cut| match cut {
            Cut::Text(text) => Segment::Bytes(Bytes::from(text.to_owned())),
            Cut::File(blob) => Segment::Base64(blob.clone()),
        });
        let body = Body::of(segments.chain([Segment::File(blob.clone())]).collect());
        let mut expected = format!("<a>{}</a>", STANDARD.encode(&bytes)).into_bytes();
        expected.extend_from_slice(&bytes);
        assert!(body.is_streamed());
        assert_eq!(body.len(), expected.len() as u64);
        assert_eq!(body.to_bytes().unwrap(), expected);
        assert_eq!(
            body.digest::<Sha256>().unwrap(),
            Sha256::digest(&expected).to_vec()
        );
        assert!(
            body.pieces()
                .all(|piece| piece.unwrap().len() <= PIECE_BYTES * 2)
        );
        let words = shown(text, &files);
        assert_eq!(words, "<a>(1000001 bytes in Base64)</a>");
    }

    #[test]
    fn small_files_make_a_body_in_memory() {
        let body = Body::of(vec![
            Segment::Bytes(Bytes::from_static(b"a")),
            Segment::File(Blob::from(b"bc".to_vec())),
        ]);
        assert!(!body.is_streamed());
        assert_eq!(body.to_bytes().unwrap().as_ref(), b"abc");
    }
}
