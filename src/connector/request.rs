//! Renders a step into the bytes that go out: JSON, XML in a declared charset, form, multipart.

use super::body::{Body, Cut, Segment, cut, has_mark, shown};
use super::compiled::{CompiledPart, CompiledStep};
use super::manifest::{BodyKind, Unmappable};
use super::response::encoding_named;
use super::template::{TemplateId, Templates};
use crate::blob::Blob;
use bytes::Bytes;
use minijinja::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use url::Url;

/// A request ready to be sent. `Debug` and [`Request::shown_body`] may hold secrets: mask before showing.
#[derive(Debug, Clone)]
pub struct Request {
    /// Upper-case method.
    pub method: String,
    /// Where it goes; its host is on the allow-list.
    pub url: Url,
    /// Headers in order; names as the platform spells them.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Body,
    /// The body as a person reads it: decoded, files as one line each.
    pub shown_body: String,
}

/// Contents of attachments by SHA-256.
pub type Files = BTreeMap<String, Blob>;

/// Why a request could not be made. Nothing was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    /// A template failed; usually a field is missing or a code table lacks an entry.
    #[error("step `{step}`: {problem}")]
    Template {
        /// The step's name.
        step: String,
        /// What and where.
        problem: String,
    },
    /// The rendered text is not what it claims to be.
    #[error("step `{step}`: the rendered body is not well-formed: {problem}")]
    Malformed {
        /// The step's name.
        step: String,
        /// What and where.
        problem: String,
    },
    /// A character does not exist in the charset of the platform.
    #[error("step `{step}`: `{character}` (U+{:04X}) does not exist in {charset}", *character as u32)]
    Unmappable {
        /// The step's name.
        step: String,
        /// The first such character.
        character: char,
        /// The charset of the step.
        charset: String,
    },
    /// Larger than `limits.request_bytes_max`.
    #[error("step `{step}`: the body has {bytes} bytes, the platform takes {max}")]
    TooLarge {
        /// The step's name.
        step: String,
        /// Size of the rendered body.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The host is neither that of the base address nor on `connector.hosts`.
    #[error("step `{step}`: host `{host}` is not on the connector's allow-list")]
    HostNotAllowed {
        /// The step's name.
        step: String,
        /// Where the request would have gone.
        host: String,
    },
}

impl RenderError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Template { .. } => "template",
            Self::Malformed { .. } => "malformed",
            Self::Unmappable { .. } => "unmappable",
            Self::TooLarge { .. } => "too_large",
            Self::HostNotAllowed { .. } => "host_not_allowed",
        }
    }
}

/// Renders one step; the allow-list and authentication are the caller's.
pub(super) struct Renderer<'a> {
    pub(super) templates: &'a Templates,
    pub(super) step: &'a CompiledStep,
    pub(super) context: &'a Value,
    pub(super) files: &'a Files,
}

pub(super) struct RenderedBody {
    pub(super) body: Body,
    pub(super) shown: String,
    pub(super) content_type: Option<String>,
}

impl Renderer<'_> {
    /// Renders what is no body: a path, a header, a name.
    pub(super) fn text(&self, id: &TemplateId) -> Result<String, RenderError> {
        let text = self.any_text(id)?;
        match has_mark(&text) {
            true => Err(self.failed("a large file can only stand in a body".to_owned())),
            false => Ok(text),
        }
    }

    /// As [`Renderer::text`], maybe with stand-ins of large files.
    fn any_text(&self, id: &TemplateId) -> Result<String, RenderError> {
        self.templates
            .render(id, self.context)
            .map_err(|error| self.failed(error.to_string()))
    }

    pub(super) fn failed(&self, problem: String) -> RenderError {
        RenderError::Template {
            step: self.step.name.clone(),
            problem,
        }
    }

    fn malformed(&self, problem: String) -> RenderError {
        RenderError::Malformed {
            step: self.step.name.clone(),
            problem,
        }
    }

    pub(super) fn body(&self) -> Result<RenderedBody, RenderError> {
        match self.step.body {
            BodyKind::None => Ok(RenderedBody {
                body: Body::from(Bytes::new()),
                shown: String::new(),
                content_type: None,
            }),
            BodyKind::Json => self.json(),
            BodyKind::Xml => self.xml(),
            BodyKind::Text => self.encoded(self.template()?, "text/plain"),
            BodyKind::Form => self.form(),
            BodyKind::Multipart => self.multipart(),
        }
    }

    fn template(&self) -> Result<String, RenderError> {
        match &self.step.template {
            Some(id) => self.any_text(id),
            None => Err(self.failed("the step has no template".to_owned())),
        }
    }

    /// The rendered text is parsed again, which catches a stray comma before the platform does.
    fn json(&self) -> Result<RenderedBody, RenderError> {
        let text = self.template()?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| self.malformed(error.to_string()))?;
        let compact = value.to_string();
        Ok(RenderedBody {
            body: self.with_files(&compact, |text| Ok(text.as_bytes().to_vec()))?,
            shown: shown(compact, self.files),
            content_type: Some("application/json".to_owned()),
        })
    }

    fn xml(&self) -> Result<RenderedBody, RenderError> {
        // XML 1.0 §2.2 forbids these even as references.
        let text: String = self
            .template()?
            .chars()
            .filter(|letter| {
                !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}')
                    || matches!(letter, '\t' | '\n' | '\r')
            })
            .collect();
        roxmltree::Document::parse(&text).map_err(|error| self.malformed(error.to_string()))?;
        self.encoded(text, "text/xml")
    }

    fn encoded(&self, text: String, media_type: &str) -> Result<RenderedBody, RenderError> {
        let body = self.with_files(&text, |text| self.encode(text))?;
        let content_type = format!("{media_type}; charset={}", self.step.charset);
        Ok(RenderedBody {
            body,
            shown: shown(text, self.files),
            content_type: Some(content_type),
        })
    }

    /// Makes a body of a rendered text, with its large files read while it is sent.
    fn with_files(
        &self,
        text: &str,
        encode: impl Fn(&str) -> Result<Vec<u8>, RenderError>,
    ) -> Result<Body, RenderError> {
        if !has_mark(text) {
            return Ok(Body::from(encode(text)?));
        }
        let segments = cut(text, self.files).into_iter().map(|cut| match cut {
            Cut::Text(text) => Ok(Segment::Bytes(Bytes::from(encode(text)?))),
            Cut::File(content) => Ok(Segment::Base64(content.clone())),
        });
        Ok(Body::of(segments.collect::<Result<_, RenderError>>()?))
    }

    fn encode(&self, text: &str) -> Result<Vec<u8>, RenderError> {
        let encoding = encoding_named(&self.step.charset)
            .ok_or_else(|| self.failed(format!("unknown charset {}", self.step.charset)))?;
        // GBK proper is narrower than GB18030, in which four-byte characters exist.
        let narrow = match self.step.charset.to_ascii_lowercase().as_str() {
            "gbk" | "gb2312" | "cp936" => encoding_rs::GBK,
            _ => encoding,
        };
        let (bytes, _, had_unmappable) = narrow.encode(text);
        if !had_unmappable {
            return Ok(bytes.into_owned());
        }
        match self.step.unmappable {
            Unmappable::Ncr => Ok(bytes.into_owned()),
            Unmappable::QuestionMark => {
                let replaced: String = text
                    .chars()
                    .map(|letter| if maps(narrow, letter) { letter } else { '?' })
                    .collect();
                Ok(narrow.encode(&replaced).0.into_owned())
            }
            Unmappable::Refuse => Err(RenderError::Unmappable {
                step: self.step.name.clone(),
                character: text
                    .chars()
                    .find(|letter| !maps(narrow, *letter))
                    .unwrap_or('\u{fffd}'),
                charset: self.step.charset.clone(),
            }),
        }
    }

    fn form(&self) -> Result<RenderedBody, RenderError> {
        let mut encoded = String::new();
        let mut shown = String::new();
        for (name, template) in &self.step.form {
            let value = self.text(template)?;
            if !encoded.is_empty() {
                encoded.push('&');
                shown.push('&');
            }
            for byte_text in [self.encode(name)?, b"=".to_vec(), self.encode(&value)?] {
                if byte_text == b"=" {
                    encoded.push('=');
                } else {
                    encoded.extend(url::form_urlencoded::byte_serialize(&byte_text));
                }
            }
            shown.push_str(&format!("{name}={value}"));
        }
        Ok(RenderedBody {
            body: Body::from(encoded),
            shown,
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
        })
    }

    /// The boundary is made from the content, so that the same record gives the same bytes.
    fn multipart(&self) -> Result<RenderedBody, RenderError> {
        let mut parts = Vec::new();
        for part in &self.step.parts {
            for context in self.item_contexts(part)? {
                parts.push(self.part(part, &context)?);
            }
        }
        let mut hash = Sha256::new();
        for (head, content) in &parts {
            hash.update(head.as_bytes());
            match content {
                PartContent::Text(bytes) | PartContent::File(_, Blob::Memory(bytes)) => {
                    hash.update(bytes);
                }
                // Its digest says as much, without reading it.
                PartContent::File(sha256, Blob::Disk(_)) => hash.update(sha256),
            }
        }
        let boundary = format!("synchub-{}", hex::encode(&hash.finalize()[..16]));
        let mut segments = Vec::new();
        let mut shown = String::new();
        for (head, content) in parts {
            let text = match &content {
                PartContent::Text(bytes) if !head.contains("filename=") => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                PartContent::Text(bytes) => format!("({} bytes)", bytes.len()),
                PartContent::File(_, Blob::Memory(bytes)) if !head.contains("filename=") => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                PartContent::File(_, content) => format!("({} bytes)", content.len()),
            };
            shown.push_str(&format!("{head}\n{text}\n"));
            let before = format!("--{boundary}\r\n{head}\r\n\r\n");
            segments.push(Segment::Bytes(Bytes::from(before)));
            segments.push(match content {
                PartContent::Text(bytes) => Segment::Bytes(bytes),
                PartContent::File(_, content) => Segment::File(content),
            });
            segments.push(Segment::Bytes(Bytes::from_static(b"\r\n")));
        }
        let end = format!("--{boundary}--\r\n");
        segments.push(Segment::Bytes(Bytes::from(end)));
        let content_type = Some(format!("multipart/form-data; boundary={boundary}"));
        Ok(RenderedBody {
            body: Body::of(segments),
            shown,
            content_type,
        })
    }

    fn item_contexts(&self, part: &CompiledPart) -> Result<Vec<Value>, RenderError> {
        let Some(for_each) = &part.for_each else {
            return Ok(vec![self.context.clone()]);
        };
        let list = self
            .templates
            .evaluate(for_each, self.context)
            .and_then(|list| list.try_iter().map_err(Into::into).map(Iterator::collect))
            .map_err(|error| self.failed(error.to_string()))?;
        let list: Vec<Value> = list;
        Ok(list
            .into_iter()
            .map(|item| with_item(self.context, item))
            .collect())
    }

    fn part(
        &self,
        part: &CompiledPart,
        context: &Value,
    ) -> Result<(String, PartContent), RenderError> {
        let here = Renderer { context, ..*self };
        let mut head = format!(
            "Content-Disposition: form-data; name=\"{}\"",
            quoted(&part.name)
        );
        if let Some(filename) = &part.filename {
            head.push_str(&format!("; filename=\"{}\"", quoted(&here.text(filename)?)));
        }
        if let Some(media_type) = &part.media_type {
            let media_type = here.text(media_type)?.replace(['\r', '\n'], " ");
            head.push_str(&format!("\r\nContent-Type: {media_type}"));
        }
        if let Some(file) = &part.file {
            let sha256 = here.text(file)?;
            let content = self
                .files
                .get(sha256.trim())
                .ok_or_else(|| self.failed(format!("no attachment with SHA-256 {sha256}")))?;
            return Ok((head, PartContent::File(sha256, content.clone())));
        }
        let text = match &part.value {
            Some(value) => here.text(value)?,
            None => String::new(),
        };
        Ok((head, PartContent::Text(Bytes::from(text))))
    }
}

enum PartContent {
    Text(Bytes),
    /// With its digest.
    File(String, Blob),
}

/// Returns `context` with `item` in it.
pub(super) fn with_item(context: &Value, item: Value) -> Value {
    minijinja::context! { item => item, ..context.clone() }
}

/// Browsers write names in UTF-8 with only these three escaped (WHATWG HTML, multipart/form-data).
fn quoted(text: &str) -> String {
    text.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn maps(encoding: &'static encoding_rs::Encoding, letter: char) -> bool {
    let mut buffer = [0; 4];
    !encoding.encode(letter.encode_utf8(&mut buffer)).2
}
