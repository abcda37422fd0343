//! References to settings and secrets, and the mask that keeps secrets out of everything shown.

use std::collections::HashMap;
use std::path::Path;

/// Where `env:NAME` and `file:PATH` are looked up.
#[derive(Debug, Clone, Default)]
pub struct References {
    overrides: HashMap<String, String>,
    placeholders: bool,
    base_url: Option<String>,
}

/// Base address that stands for every platform in samples; `.test` never resolves (RFC 6761).
const PLACEHOLDER_URL: &str = "http://platform.test";

impl References {
    /// Looks first among `overrides` (name → value), then in the environment of the process.
    pub fn with_overrides(overrides: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            overrides: overrides.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Resolves everything to a placeholder, for checks and samples.
    pub fn placeholders() -> Self {
        Self {
            placeholders: true,
            ..Self::default()
        }
    }

    /// Returns whether everything is a placeholder.
    pub(super) fn are_placeholders(&self) -> bool {
        self.placeholders
    }

    /// Takes `base_url` for the address of every platform, when given.
    #[must_use]
    pub fn with_base_url(self, base_url: Option<String>) -> Self {
        Self { base_url, ..self }
    }

    /// Returns the base address that `reference` points to, or the literal address it is.
    ///
    /// # Errors
    /// As [`References::resolve`].
    pub fn resolve_address(&self, reference: &str) -> Result<String, String> {
        if let Some(base_url) = &self.base_url {
            return Ok(base_url.clone());
        }
        let is_reference = reference.starts_with("env:") || reference.starts_with("file:");
        match (self.placeholders, is_reference) {
            (true, _) => Ok(PLACEHOLDER_URL.to_owned()),
            (false, true) => self.resolve(reference),
            (false, false) => Ok(reference.to_owned()),
        }
    }

    /// Returns what `reference` points to.
    ///
    /// # Errors
    /// A sentence that names the reference, never its value.
    pub fn resolve(&self, reference: &str) -> Result<String, String> {
        if self.placeholders {
            return Ok(format!("<{reference}>"));
        }
        if let Some(name) = reference.strip_prefix("env:") {
            return self
                .overrides
                .get(name)
                .cloned()
                .or_else(|| std::env::var(name).ok())
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("environment variable `{name}` is not set"));
        }
        if let Some(path) = reference.strip_prefix("file:") {
            return std::fs::read_to_string(Path::new(path))
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("file `{path}` cannot be read: {error}"));
        }
        Err("a reference is `env:NAME` or `file:PATH`; secrets are never written out".to_owned())
    }
}

/// Replaces secrets in texts that people may see.
#[derive(Clone, Default)]
pub struct Mask {
    secrets: Vec<String>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Mask({} secrets)", self.secrets.len())
    }
}

impl Mask {
    /// Values shorter than this are no secrets and would blot out half of every text.
    const BYTES_MIN: usize = 4;

    /// Hides `secret` from now on, as it is and in the spellings that requests use.
    pub fn add(&mut self, secret: &str) {
        use base64::Engine as _;
        if secret.len() < Self::BYTES_MIN {
            return;
        }
        let url_encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let json = serde_json::Value::from(secret).to_string();
        let spellings = [
            secret.to_owned(),
            base64::engine::general_purpose::STANDARD.encode(secret),
            url_encoded,
            json.trim_matches('"').to_owned(),
        ];
        for spelling in spellings {
            if !self.secrets.contains(&spelling) {
                self.secrets.push(spelling);
            }
        }
        // The longest first, so that a secret inside another one does not leave its rest behind.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Returns the length of the longest secret, in characters.
    pub fn chars_max(&self) -> usize {
        // Sorted by bytes, so that the first is not always the longest in characters.
        let lengths = self.secrets.iter().map(|secret| secret.chars().count());
        lengths.max().unwrap_or(0)
    }

    /// Returns `text` with every secret replaced by `***`.
    pub fn apply(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.secrets {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), "***");
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_spelling_a_request_may_use() {
        let mut mask = Mask::default();
        mask.add("pä ss\"word");
        let shown = mask.apply(
            "plain pä ss\"word url p%C3%A4+ss%22word json p\u{e4} ss\\\"word b64 cMOkIHNzIndvcmQ=",
        );
        assert_eq!(shown, "plain *** url *** json *** b64 ***");
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named_without_its_value() {
        let references = References::default();
        let error = references
            .resolve("env:NO_SUCH_NAME_HERE")
            .expect_err("not set");
        assert!(error.contains("NO_SUCH_NAME_HERE"));
        let error = references
            .resolve("hunter2-literal")
            .expect_err("no scheme");
        assert!(!error.contains("hunter2"));
    }
}
