//! What one platform keeps: articles in memory, and a journal from which they come back.
//!
//! Owns the shape of a stored article and the file `<platform>.ndjson`. Each change appends the
//! whole article, so loading is replaying. Never decides what the public may see: that is the
//! business of the platform (see [`super::gov_info`] for the one that reviews).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A file that belongs to an edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) sha256: String,
    #[serde(with = "in_base64")]
    pub(super) bytes: Vec<u8>,
}

impl Attachment {
    /// Returns the file with its digest worked out.
    pub(super) fn new(name: String, media_type: String, bytes: Vec<u8>) -> Self {
        Attachment {
            sha256: sha256_hex(&bytes),
            name,
            media_type,
            bytes,
        }
    }
}

/// One saved state of an article.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Edition {
    /// The sender's version or revision; 0 when it named none.
    pub(super) version: i64,
    pub(super) title: String,
    pub(super) doc_no: String,
    /// The id of the column under which the public finds it.
    pub(super) column: String,
    pub(super) html: String,
    /// What the public page shows above the body: label and value.
    pub(super) facts: Vec<(String, String)>,
    pub(super) attachments: Vec<Attachment>,
    /// Further fields as the platform received them.
    pub(super) form: Value,
    pub(super) saved_at_ms: i64,
}

impl Edition {
    /// Returns whether both say the same to the public, whenever they were saved.
    pub(super) fn says_the_same_as(&self, other: &Edition) -> bool {
        let mut other = other.clone();
        other.saved_at_ms = self.saved_at_ms;
        *self == other
    }
}

/// Whether an article is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// On the platform, though perhaps still under review.
    Live,
    /// Taken back through the interface; the platform remembers it.
    Revoked,
    /// Gone.
    Deleted,
}

/// One article with what is shown and what waits for review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Article {
    pub(super) number: u64,
    /// The id which the platform gave.
    pub(super) remote_id: String,
    /// The hub's record id, as far as the platform knows it.
    pub(super) record_id: String,
    /// Keys by which a client looks it up.
    pub(super) found_by: Vec<String>,
    pub(super) standing: Standing,
    pub(super) shown: Option<Edition>,
    pub(super) pending: Option<Edition>,
}

impl Article {
    /// Returns the edition that the public sees now.
    pub(super) fn visible(&self) -> Option<&Edition> {
        match self.standing {
            Standing::Live => self.shown.as_ref(),
            Standing::Revoked | Standing::Deleted => None,
        }
    }

    /// Returns the edition saved last.
    pub(super) fn newest(&self) -> Option<&Edition> {
        self.pending.as_ref().or(self.shown.as_ref())
    }

    /// Returns whether an edition waits for review.
    pub(super) fn is_under_review(&self) -> bool {
        self.standing == Standing::Live && self.pending.is_some()
    }
}

/// All articles of one platform.
pub(super) struct Shelf {
    articles: BTreeMap<u64, Article>,
    by_key: HashMap<String, Vec<u64>>,
    under_review: BTreeSet<u64>,
    journal: File,
}

impl Shelf {
    /// Opens the journal at `path` and replays it. A torn last line, left by a process that was
    /// killed while writing, is cut off.
    pub(super) fn open(path: &Path) -> io::Result<Shelf> {
        let journal = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        let text = std::fs::read(path)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        journal.set_len(whole as u64)?;
        let mut shelf = Shelf {
            articles: BTreeMap::new(),
            by_key: HashMap::new(),
            under_review: BTreeSet::new(),
            journal,
        };
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                shelf.remember(serde_json::from_slice(line)?);
            }
        }
        Ok(shelf)
    }

    /// Returns the number that the next new article takes.
    pub(super) fn next_number(&self) -> u64 {
        self.articles.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Writes the article to the journal, then shows it to readers.
    pub(super) fn put(&mut self, article: Article) -> io::Result<()> {
        let mut line = serde_json::to_vec(&article)?;
        line.push(b'\n');
        self.journal.write_all(&line)?;
        self.remember(article);
        Ok(())
    }

    /// Empties memory and journal.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.journal.set_len(0)?;
        self.articles.clear();
        self.by_key.clear();
        self.under_review.clear();
        Ok(())
    }

    /// Returns the articles that carry `key`, oldest first, deleted ones included.
    pub(super) fn find(&self, key: &str) -> impl Iterator<Item = &Article> {
        let numbers = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        numbers
            .iter()
            .filter_map(|number| self.articles.get(number))
    }

    /// Returns the article with this number.
    pub(super) fn by_number(&self, number: u64) -> Option<&Article> {
        self.articles.get(&number)
    }

    /// Returns the article with the platform's own id.
    pub(super) fn by_remote_id(&self, remote_id: &str) -> Option<&Article> {
        let digits = remote_id.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let article = self.articles.get(&digits.parse().ok()?)?;
        (article.remote_id == remote_id).then_some(article)
    }

    /// Returns every article, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Article> {
        self.articles.values()
    }

    /// Returns the articles of which an edition waits for review.
    pub(super) fn under_review(&self) -> impl Iterator<Item = &Article> {
        self.under_review
            .iter()
            .filter_map(|number| self.articles.get(number))
    }

    fn remember(&mut self, article: Article) {
        if let Some(before) = self.articles.get(&article.number) {
            for key in &before.found_by {
                if let Some(numbers) = self.by_key.get_mut(key) {
                    numbers.retain(|number| *number != article.number);
                }
            }
        }
        for key in &article.found_by {
            let numbers = self.by_key.entry(key.clone()).or_default();
            numbers.push(article.number);
            numbers.sort_unstable();
        }
        if article.is_under_review() {
            self.under_review.insert(article.number);
        } else {
            self.under_review.remove(&article.number);
        }
        self.articles.insert(article.number, article);
    }
}

/// Returns the SHA-256 digest in lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns whether the name can stand for a file on a page: not blank, no path, nothing unseen.
pub(super) fn is_file_name(name: &str) -> bool {
    let forbidden = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
    !name.trim().is_empty() && !name.contains(forbidden)
}

/// Returns the bytes of a base64 text, which may be folded into lines.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let unfolded: String = text.split_ascii_whitespace().collect();
    BASE64.decode(unfolded).ok()
}

mod in_base64 {
    use super::BASE64;
    use base64::Engine;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
