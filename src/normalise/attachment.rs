//! The files of an entry: decodes what came inline, checks digest, size and kind, mends names.

use super::Findings;
use super::html::InlineImage;
use super::media_type::{HEAD_BYTES, is_same_kind, media_type_of_name, sniff};
use super::text::one_line;
use crate::blob::{Blob, Received};
use crate::record::{EntryAttachment, FieldError};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

/// Largest file that comes inline.
pub const ATTACHMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest sum of the files that come inline in one entry.
pub const ATTACHMENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest file name; file systems stop at 255 bytes, three to a Chinese character.
const NAME_CHARS_MAX: usize = 80;

/// A file with its content.
#[derive(Debug, Clone)]
pub struct File {
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    /// File name without folders.
    pub name: String,
    /// IANA media type.
    pub media_type: String,
    /// The content.
    pub content: Blob,
}

/// Padding may be missing: some vendors cut it off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the attachments of an entry; what is wrong with them goes to `findings`.
pub(super) fn files(attachments: &[EntryAttachment], findings: &mut Findings) -> Vec<File> {
    let mut files = Vec::with_capacity(attachments.len());
    for (place, attachment) in attachments.iter().enumerate() {
        let pointer = format!("/entry/attachments/{place}");
        match file(attachment, &pointer, place + 1) {
            Ok((file, claim_is_wrong)) => {
                if claim_is_wrong {
                    let detail = format!(
                        "附件《{}》的内容实际是 {}，与申报的类型 {} 不符，已按实际类型处理，请核对文件。",
                        file.name,
                        file.media_type,
                        one_line(attachment.media_type.as_deref().unwrap_or_default()),
                    );
                    let pointer = format!("{pointer}/media_type");
                    findings.warning(&pointer, "media_type_wrong", detail);
                }
                files.push(file);
            }
            Err(error) => findings.errors.push(error),
        }
    }
    check_total(&files, &mut findings.errors);
    files
}

fn file(
    attachment: &EntryAttachment,
    pointer: &str,
    number: usize,
) -> Result<(File, bool), FieldError> {
    let fail = |field: &str, code: &str, detail: String| {
        FieldError::new(format!("{pointer}/{field}"), code, detail)
    };
    let name = file_name(&attachment.name).ok_or_else(|| {
        let detail = format!("第{number}个附件没有可用的文件名，请填写带扩展名的文件名。");
        fail("name", "name_invalid", detail)
    })?;
    let received = match (&attachment.received, &attachment.content_base64) {
        (Some(received), _) => received.clone(),
        (None, Some(encoded)) => inline(encoded).map_err(|code| {
            let reason = match code {
                "too_large" => format!("超过{}MB", ATTACHMENT_BYTES_MAX / 1024 / 1024),
                "attachment_empty" => "是空文件".to_owned(),
                _ => "的内容不是正确的 Base64 编码".to_owned(),
            };
            let detail = format!("附件《{name}》{reason}，请检查后重新提交。");
            fail("content_base64", code, detail)
        })?,
        (None, None) if attachment.url.is_some() => {
            let detail = format!("附件《{name}》只给出了下载地址，没有取回，请直接提交文件内容。");
            return Err(fail("url", "attachment_not_fetched", detail));
        }
        (None, None) => {
            let detail = format!("附件《{name}》没有文件内容，请在 content_base64 中提交。");
            return Err(fail("content_base64", "required", detail));
        }
    };
    let Received { content, sha256 } = received;
    if let Some(claimed) = &attachment.sha256
        && !claimed.trim().eq_ignore_ascii_case(&sha256)
    {
        let detail = format!("附件《{name}》的内容与校验值不符，可能在传输中损坏，请重新提交。");
        return Err(fail("sha256", "sha256_mismatch", detail));
    }
    let (media_type, claim_is_wrong) =
        media_type(attachment.media_type.as_deref(), &name, &content);
    let file = File {
        media_type,
        sha256,
        name,
        content,
    };
    Ok((file, claim_is_wrong))
}

fn inline(encoded: &str) -> Result<Received, &'static str> {
    let bytes = decode(encoded)?;
    Ok(Received {
        sha256: hex::encode(Sha256::digest(&bytes)),
        content: Blob::from(bytes),
    })
}

/// Decodes a picture that was written into the text; none when it is damaged, empty or too large.
pub(super) fn picture(number: usize, image: &InlineImage) -> Option<File> {
    let Received { content, sha256 } = inline(&image.content_base64).ok()?;
    let extension = match image.media_type.as_str() {
        "image/jpeg" => "jpg",
        other => other.trim_start_matches("image/"),
    };
    Some(File {
        sha256,
        name: format!("正文图片{number}.{extension}"),
        media_type: image.media_type.clone(),
        content,
    })
}

/// Says that all files in memory together are too large, if they are. Those on disk have a limit of
/// their own, which is kept while they come.
pub(super) fn check_total(files: &[File], errors: &mut Vec<FieldError>) {
    let in_memory = files.iter().filter_map(|file| match &file.content {
        Blob::Memory(bytes) => Some(bytes.len()),
        Blob::Disk(_) => None,
    });
    let total: usize = in_memory.sum();
    if total > ATTACHMENTS_BYTES_MAX {
        let megabytes = ATTACHMENTS_BYTES_MAX / 1024 / 1024;
        let detail = format!("全部附件合计超过{megabytes}MB，请压缩或分次提交。");
        errors.push(FieldError::new("/entry/attachments", "too_large", detail));
    }
}

fn decode(encoded: &str) -> Result<Vec<u8>, &'static str> {
    if encoded.len() / 4 * 3 > ATTACHMENT_BYTES_MAX + ATTACHMENT_BYTES_MAX / 16 {
        return Err("too_large");
    }
    let decoded = if encoded.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let mut joined = encoded.to_owned();
        joined.retain(|character| !character.is_ascii_whitespace());
        BASE64.decode(joined)
    } else {
        BASE64.decode(encoded)
    };
    let bytes = decoded.map_err(|_| "base64_invalid")?;
    match bytes.len() {
        0 => Err("attachment_empty"),
        length if length > ATTACHMENT_BYTES_MAX => Err("too_large"),
        _ => Ok(bytes),
    }
}

/// Returns the name without folders and without characters that file systems refuse.
fn file_name(written: &str) -> Option<String> {
    let line = one_line(written);
    let last = line.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last
        .chars()
        .map(|character| match character {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            other => other,
        })
        .collect();
    let name = name.trim_matches([' ', '.', '\u{3000}']);
    if name.is_empty() {
        return None;
    }
    Some(shorten(name))
}

/// Cuts a long name in front of its extension.
fn shorten(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= 10 => (stem, extension),
        _ => return name.chars().take(NAME_CHARS_MAX).collect(),
    };
    let kept = NAME_CHARS_MAX - 1 - extension.chars().count();
    format!(
        "{}.{extension}",
        stem.chars().take(kept).collect::<String>()
    )
}

/// Returns the claimed media type when it is one.
fn claimed_type(claimed: Option<&str>) -> Option<String> {
    let claimed = claimed.unwrap_or_default().trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (kind, subtype) = claimed.split_once('/')?;
    let is_one = is_token(kind) && is_token(subtype) && claimed != "application/octet-stream";
    is_one.then_some(claimed)
}

/// Returns what a file is: what its content proves, else what is claimed, else what its name says;
/// and whether the claim was wrong.
fn media_type(claimed: Option<&str>, name: &str, content: &Blob) -> (String, bool) {
    let head = content.piece(0, HEAD_BYTES).unwrap_or_default();
    let claimed = claimed_type(claimed);
    match (sniff(name, &head), claimed) {
        (Some(found), Some(claimed)) if is_same_kind(&claimed, found) => (claimed, false),
        (Some(found), claimed) => (found.to_owned(), claimed.is_some()),
        (None, Some(claimed)) => (claimed, false),
        (None, None) => {
            let named = media_type_of_name(name).unwrap_or("application/octet-stream");
            (named.to_owned(), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(name: &str, content: Option<&str>) -> EntryAttachment {
        EntryAttachment {
            name: name.to_owned(),
            media_type: None,
            content_base64: content.map(str::to_owned),
            url: None,
            sha256: None,
            received: None,
        }
    }

    fn codes(attachments: &[EntryAttachment]) -> Vec<(String, String)> {
        let mut findings = Findings::default();
        files(attachments, &mut findings);
        findings
            .errors
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect()
    }

    #[test]
    fn a_file_is_decoded_and_its_digest_written_down() {
        let mut findings = Findings::default();
        let decoded = files(
            &[attachment("C:\\表\\a.PDF", Some("YW Jj\n"))],
            &mut findings,
        );
        assert_eq!(findings.errors, []);
        let content = decoded[0].content.whole(3).unwrap();
        assert_eq!(content.as_deref(), Some(&b"abc"[..]));
        assert_eq!(decoded[0].name, "a.PDF");
        assert_eq!(decoded[0].media_type, "application/pdf");
        assert_eq!(
            decoded[0].sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn every_wrong_attachment_is_named() {
        let by_address = EntryAttachment {
            url: Some("https://oa.invalid/1".to_owned()),
            ..attachment("a.pdf", None)
        };
        let damaged = EntryAttachment {
            sha256: Some("00".to_owned()),
            ..attachment("b.pdf", Some("YWJj"))
        };
        let found = codes(&[
            attachment("../..", Some("YWJj")),
            attachment("a.pdf", Some("不是")),
            attachment("a.pdf", Some("")),
            attachment("a.pdf", None),
            by_address,
            damaged,
        ]);
        let expected = [
            ("/entry/attachments/0/name", "name_invalid"),
            ("/entry/attachments/1/content_base64", "base64_invalid"),
            ("/entry/attachments/2/content_base64", "attachment_empty"),
            ("/entry/attachments/3/content_base64", "required"),
            ("/entry/attachments/4/url", "attachment_not_fetched"),
            ("/entry/attachments/5/sha256", "sha256_mismatch"),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_content_proves_counts_more_than_what_is_claimed() {
        let mut findings = Findings::default();
        let png = "iVBORw0KGgo=";
        let claimed = |media_type: &str| EntryAttachment {
            media_type: Some(media_type.to_owned()),
            ..attachment("a.pdf", Some(png))
        };
        let read = files(
            &[claimed("application/pdf"), claimed("image/x-png")],
            &mut findings,
        );
        let types: Vec<&str> = read.iter().map(|it| it.media_type.as_str()).collect();
        assert_eq!(types, ["image/png", "image/x-png"]);
        let warnings: Vec<(&str, &str)> = findings
            .warnings
            .iter()
            .map(|it| (it.pointer.as_str(), it.code.as_str()))
            .collect();
        assert_eq!(
            warnings,
            [("/entry/attachments/0/media_type", "media_type_wrong")]
        );
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let encoded = "A".repeat((ATTACHMENT_BYTES_MAX + 3) / 3 * 4);
        assert_eq!(
            codes(&[attachment("a.bin", Some(&encoded))]),
            [(
                "/entry/attachments/0/content_base64".to_owned(),
                "too_large".to_owned()
            )]
        );
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = file_name(&format!("{}.xlsx", "名".repeat(300))).unwrap();
        assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        assert!(name.ends_with(".xlsx"));
    }
}
