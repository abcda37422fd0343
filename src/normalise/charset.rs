//! The charset of a whole request body: what the bytes are, whatever the header claims.

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// A body as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// `utf-8`, `gbk`, `gb18030`, `utf-16le` or `utf-16be`.
    pub charset: &'static str,
    /// The text, without a byte order mark.
    pub text: String,
}

/// The charset of some bytes.
#[derive(Debug, Clone, Copy)]
pub struct Charset {
    /// `utf-8`, `gbk`, `gb18030`, `utf-16le` or `utf-16be`.
    pub name: &'static str,
    encoding: &'static Encoding,
}

impl Charset {
    /// Returns what charset these bytes can only be in; `claim`, such as a content type, decides
    /// where the bytes leave a doubt. Whether they really are is said by [`Charset::decode`].
    pub fn of(claim: &str, bytes: &[u8]) -> Self {
        if let Some((encoding, _)) = Encoding::for_bom(bytes) {
            return Self {
                name: name(encoding),
                encoding,
            };
        }
        match std::str::from_utf8(bytes) {
            // Two GBK letters can look like letters of another script in UTF-8; text that is
            // declared as GBK and shows no Chinese in UTF-8 is what it says.
            Ok(text) if !(claims_gb(claim) && is_doubtful(text)) => Self {
                name: "utf-8",
                encoding: UTF_8,
            },
            Err(_) if is_damaged(bytes) => Self {
                name: "utf-8",
                encoding: UTF_8,
            },
            Ok(_) | Err(_) => Self {
                name: gb_name(bytes),
                encoding: GB18030,
            },
        }
    }

    /// Returns these bytes, or a piece of them, as text without a byte order mark; none when they
    /// are no text of this charset.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        let bytes = match Encoding::for_bom(bytes) {
            Some((encoding, mark_bytes)) if encoding == self.encoding => &bytes[mark_bytes..],
            _ => bytes,
        };
        let text = self
            .encoding
            .decode_without_bom_handling_and_without_replacement(bytes)?;
        // GB 18030 has a mark too, which the library does not look for.
        Some(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Cow::Owned(mut text) if text.starts_with('\u{feff}') => {
                text.drain(..'\u{feff}'.len_utf8());
                Cow::Owned(text)
            }
            owned => owned,
        })
    }
}

fn claims_gb(claim: &str) -> bool {
    let claim = claim.to_ascii_lowercase();
    ["gb2312", "gbk", "gb18030", "cp936", "x-gbk"]
        .iter()
        .any(|name| claim.contains(name))
}

/// Decodes a body; `content_type` only decides where the bytes leave a doubt. None when they are in
/// none of the charsets.
pub fn decode_body(content_type: &str, bytes: &[u8]) -> Option<Decoded> {
    let bytes = &*readable(content_type, bytes);
    let charset = Charset::of(content_type, bytes);
    Some(Decoded {
        charset: charset.name,
        text: charset.decode(bytes)?.into_owned(),
    })
}

/// Returns the bytes that are text: those that a form escapes, and of several parts those that are
/// no files.
fn readable<'a>(content_type: &str, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let kind = content_type.trim_start().to_ascii_lowercase();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Cow::Owned(unescaped(bytes));
    }
    let boundary = content_type
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim().trim_matches('"'));
    match boundary.filter(|it| kind.starts_with("multipart/") && !it.is_empty()) {
        Some(boundary) => Cow::Owned(without_files(bytes, format!("--{boundary}").as_bytes())),
        None => Cow::Borrowed(bytes),
    }
}

/// Undoes `%E5` and `+`.
pub fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let value = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let escaped = (value(bytes.get(place + 1)), value(bytes.get(place + 2)));
        match (byte, escaped) {
            (b'%', (Some(high), Some(low))) => {
                plain.push((high * 16 + low) as u8);
                place += 2;
            }
            (b'+', _) => plain.push(b' '),
            _ => plain.push(byte),
        }
        place += 1;
    }
    plain
}

/// Leaves out the content of parts that are files.
fn without_files(bytes: &[u8], boundary: &[u8]) -> Vec<u8> {
    let find = |bytes: &[u8], wanted: &[u8]| {
        bytes
            .windows(wanted.len())
            .position(|window| window == wanted)
    };
    let mut kept = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = find(&rest[1..], boundary).map_or(rest.len(), |place| place + 1);
        let part = &rest[..end];
        let head = find(part, b"\r\n\r\n").map_or(part.len(), |place| place + 4);
        let is_file = find(&part[..head].to_ascii_lowercase(), b"filename").is_some();
        kept.extend_from_slice(if is_file { &part[..head] } else { part });
        rest = &rest[end..];
    }
    kept
}

/// Whether the bytes are UTF-8 with some bytes lost or changed. As GB 18030 they would often be
/// text as well, of other letters.
fn is_damaged(bytes: &[u8]) -> bool {
    let (mut letters, mut damages) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|it| *it >= '\u{800}').count();
        damages += usize::from(!chunk.invalid().is_empty());
    }
    letters > 4 * damages
}

fn is_doubtful(text: &str) -> bool {
    !text.is_ascii() && text.chars().all(|letter| letter < '\u{800}')
}

fn name(encoding: &'static Encoding) -> &'static str {
    match encoding {
        it if it == UTF_16LE => "utf-16le",
        it if it == UTF_16BE => "utf-16be",
        _ => "utf-8",
    }
}

/// GB 18030 is GBK with letters of four bytes.
fn gb_name(bytes: &[u8]) -> &'static str {
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after.first()) {
            (0x81..=0xfe, Some(0x30..=0x39)) => return "gb18030",
            (0x81..=0xfe, Some(_)) => &after[1..],
            _ => after,
        };
    }
    "gbk"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn charset(content_type: &str, bytes: &[u8]) -> Option<&'static str> {
        decode_body(content_type, bytes).map(|decoded| decoded.charset)
    }

    #[test]
    fn the_bytes_decide_whatever_the_header_claims() {
        let gbk = GB18030.encode("关于印发方案的通知").0;
        for claim in ["", "text/xml; charset=UTF-8", "text/xml; charset=gb2312"] {
            assert_eq!(charset(claim, &gbk), Some("gbk"), "{claim}");
            assert_eq!(charset(claim, "关于".as_bytes()), Some("utf-8"), "{claim}");
        }
        let rare = GB18030.encode("𠮷〇镕").0;
        assert_eq!(charset("", &rare), Some("gb18030"));
        assert_eq!(decode_body("", &rare).unwrap().text, "𠮷〇镕");
        assert_eq!(charset("", b"\xff\xff\xff"), None);
        assert_eq!(charset("", b""), Some("utf-8"));
    }

    #[test]
    fn damaged_text_is_not_taken_for_another_charset() {
        let mut bytes = "关于印发韶关市方案的通知，请遵照执行。".as_bytes().to_vec();
        bytes.remove(7);
        assert_eq!(charset("", &bytes), None);
        assert_eq!(charset("text/plain; charset=gbk", &bytes), None);
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_no_text() {
        let marked = decode_body("text/plain; charset=gbk", "\u{feff}关于".as_bytes()).unwrap();
        assert_eq!((marked.charset, marked.text.as_str()), ("utf-8", "关于"));
        let wide: Vec<u8> = "\u{feff}关于"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(charset("", &wide), Some("utf-16le"));
    }

    #[test]
    fn forms_are_unescaped_and_files_left_out() {
        let form = decode_body(
            "application/x-www-form-urlencoded",
            b"a=%B9%D8%d3%DA+b&c=%zz%",
        );
        let form = form.unwrap();
        assert_eq!(
            (form.charset, form.text.as_str()),
            ("gbk", "a=关于 b&c=%zz%")
        );
        let parts = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xe5\x85\xb3\r\n\
            --x\r\nContent-Disposition: form-data; name=f; filename=a.bin\r\n\r\n\xff\xff\xff\r\n--x--\r\n";
        let parts = decode_body("multipart/form-data; boundary=\"x\"", parts).unwrap();
        assert_eq!(parts.charset, "utf-8");
        assert!(parts.text.contains('关') && parts.text.ends_with("--x--\r\n"));
    }

    #[test]
    fn a_doubt_is_settled_by_the_header() {
        // Two letters in GBK have the shape of two others in UTF-8.
        let bytes = [0xc4, 0x8f, 0xd0, 0x8f];
        assert_eq!(charset("text/plain", &bytes), Some("utf-8"));
        assert_eq!(charset("text/plain; charset=GBK", &bytes), Some("gbk"));
    }

    proptest! {
        #[test]
        fn chinese_in_gb_comes_back(text in "[\u{4e00}-\u{9fa5}，。〔〕a-z0-9]{1,120}", claims in any::<bool>()) {
            let bytes = GB18030.encode(&text).0;
            let claim = if claims { "charset=gbk" } else { "" };
            // Two letters alone may be two of another script; the claim settles it.
            if claims || std::str::from_utf8(&bytes).is_err() {
                prop_assert_eq!(decode_body(claim, &bytes).map(|it| it.text), Some(text));
            }
        }

        #[test]
        fn any_text_comes_back_from_either(text in "\\PC{0,40}") {
            prop_assert_eq!(decode_body("", text.as_bytes()).map(|it| it.text), Some(text.trim_start_matches('\u{feff}').to_owned()));
        }

        #[test]
        fn any_bytes_can_be_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..200), claim in "\\PC{0,30}") {
            let _ = decode_body(&claim, &bytes);
        }
    }
}
