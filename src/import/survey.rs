//! The first pass over a file: its digest, and which charset its bytes are in.

use super::ImportError;
use encoding_rs::{CoderResult, Decoder, Encoding, GB18030, UTF_8};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// What the first pass found.
pub(super) struct Survey {
    /// Lower-case hex SHA-256 of the file.
    pub(super) sha256: String,
    pub(super) bytes: u64,
    /// None when the bytes are no text.
    pub(super) encoding: Option<&'static Encoding>,
}

/// Reads a file once, block by block.
pub(super) fn survey(path: &Path) -> Result<Survey, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    let mut marked = None;
    let mut candidates = [Candidate::new(UTF_8), Candidate::new(GB18030)];
    loop {
        let read = file.read(&mut block).map_err(failed)?;
        let part = &block[..read];
        if bytes == 0 {
            marked = Encoding::for_bom(part).map(|(encoding, _)| encoding);
        }
        digest.update(part);
        for candidate in &mut candidates {
            candidate.look_at(part);
        }
        bytes += read as u64;
        if read == 0 {
            break;
        }
    }
    let found = candidates.iter().find(|candidate| candidate.fits);
    Ok(Survey {
        sha256: hex::encode(digest.finalize()),
        bytes,
        encoding: marked.or(found.map(|it| it.encoding)),
    })
}

/// A charset that the bytes may be in. Chinese in GBK is practically never valid UTF-8.
struct Candidate {
    encoding: &'static Encoding,
    decoder: Decoder,
    text: Vec<u8>,
    fits: bool,
}

impl Candidate {
    fn new(encoding: &'static Encoding) -> Self {
        Self {
            encoding,
            decoder: encoding.new_decoder_without_bom_handling(),
            text: vec![0; BLOCK_BYTES],
            fits: true,
        }
    }

    /// An empty part is the end.
    fn look_at(&mut self, mut part: &[u8]) {
        let is_last = part.is_empty();
        while self.fits {
            let (result, read, _) =
                self.decoder
                    .decode_to_utf8_without_replacement(part, &mut self.text, is_last);
            part = &part[read..];
            match result {
                encoding_rs::DecoderResult::InputEmpty => return,
                encoding_rs::DecoderResult::OutputFull => {}
                encoding_rs::DecoderResult::Malformed(..) => self.fits = false,
            }
        }
    }
}

/// Turns bytes of any charset into UTF-8, without a byte order mark.
pub(super) struct Utf8<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_at: usize,
    raw_end: usize,
    text: Vec<u8>,
    text_at: usize,
    text_end: usize,
    ended: bool,
}

impl<R: std::io::Read> Utf8<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; BLOCK_BYTES],
            raw_at: 0,
            raw_end: 0,
            text: vec![0; BLOCK_BYTES],
            text_at: 0,
            text_end: 0,
            ended: false,
        }
    }

    fn refill(&mut self) -> std::io::Result<()> {
        self.text_at = 0;
        self.text_end = 0;
        while self.text_end == 0 && !self.ended {
            if self.raw_at == self.raw_end {
                self.raw_end = self.inner.read(&mut self.raw)?;
                self.raw_at = 0;
            }
            let is_last = self.raw_end == 0;
            // What the survey accepted has nothing to replace.
            let (result, read, written, _) = self.decoder.decode_to_utf8(
                &self.raw[self.raw_at..self.raw_end],
                &mut self.text,
                is_last,
            );
            self.raw_at += read;
            self.text_end = written;
            self.ended = is_last && result == CoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl<R: std::io::Read> std::io::Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.text_at == self.text_end {
            self.refill()?;
        }
        let count = buffer.len().min(self.text_end - self.text_at);
        buffer[..count].copy_from_slice(&self.text[self.text_at..self.text_at + count]);
        self.text_at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(bytes: &[u8]) -> (Option<&'static str>, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let survey = survey(file.path()).unwrap();
        let mut text = String::new();
        if let Some(encoding) = survey.encoding {
            Utf8::new(bytes, encoding)
                .read_to_string(&mut text)
                .unwrap();
        }
        (survey.encoding.map(Encoding::name), text)
    }

    #[test]
    fn the_charset_is_what_the_bytes_are_also_across_blocks() {
        // An odd length puts letters of two, three and four bytes across the edge of a block.
        let text = "字".repeat(50_001) + "𠮷,a\n";
        let gb = GB18030.encode(&text).0.into_owned();
        let wide: Vec<u8> = "\u{feff}关于,乙\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (bytes, name, expected) in [
            (text.clone().into_bytes(), Some("UTF-8"), text.as_str()),
            (gb, Some("gb18030"), text.as_str()),
            ("\u{feff}关于".into(), Some("UTF-8"), "关于"),
            (wide, Some("UTF-16LE"), "关于,乙\n"),
            (b"\xff\xff\xff".to_vec(), None, ""),
            (Vec::new(), Some("UTF-8"), ""),
        ] {
            let (found, decoded) = surveyed(&bytes);
            assert_eq!(found, name);
            assert!(decoded == expected, "{name:?}");
        }
    }
}
