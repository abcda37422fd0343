//! What kind of file something is, told by its first bytes (WHATWG MIME Sniffing, and the formats
//! of offices). The name only decides where formats share their beginning.

/// How much of a file is looked at.
pub const HEAD_BYTES: usize = 4_096;

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// Formats by their first bytes.
const MAGIC: [(&[u8], &str); 27] = [
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"#!AMR", "audio/amr"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"FLV\x01", "video/x-flv"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-elf"),
    (b"{\\rtf", "application/rtf"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
];

/// Returns the media type that the name suggests, if its extension is a known one.
pub fn media_type_of_name(name: &str) -> Option<&'static str> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "pdf" => "application/pdf",
        "ofd" => "application/ofd",
        "doc" | "wps" => "application/msword",
        "docx" => DOCX,
        "xls" | "et" => "application/vnd.ms-excel",
        "xlsx" => XLSX,
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        "ppt" => "application/vnd.ms-powerpoint",
        "pptx" => PPTX,
        "zip" => "application/zip",
        "rar" => "application/vnd.rar",
        "7z" => "application/x-7z-compressed",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "htm" | "html" => "text/html",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "m4a" => "audio/mp4",
        "amr" => "audio/amr",
        "wma" => "audio/x-ms-wma",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "avi" => "video/x-msvideo",
        "wmv" => "video/x-ms-wmv",
        "flv" => "video/x-flv",
        _ => return None,
    })
}

/// Returns the media type that the first bytes of a file prove; none when they prove nothing, as
/// with text.
pub fn sniff(name: &str, head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zipped(name, head));
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        // All three live in the same container; its name has to tell.
        return Some(match media_type_of_name(name) {
            Some(named) if is_compound(named) => named,
            _ => "application/x-ole-storage",
        });
    }
    if let Some(kind) = head.get(8..12).filter(|_| head.starts_with(b"RIFF")) {
        return match kind {
            b"WAVE" => Some("audio/wav"),
            b"AVI " => Some("video/x-msvideo"),
            b"WEBP" => Some("image/webp"),
            _ => None,
        };
    }
    if head.get(4..8) == Some(b"ftyp") {
        return Some(match head.get(8..12) {
            Some(b"M4A ") => "audio/mp4",
            Some(b"qt  ") => "video/quicktime",
            _ => "video/mp4",
        });
    }
    let by_magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic))?.1;
    match (by_magic, media_type_of_name(name)) {
        // Two letters may begin a text as well.
        ("image/bmp" | "application/vnd.microsoft.portable-executable", _)
            if !head.contains(&0) =>
        {
            None
        }
        ("video/x-ms-asf", Some(named @ ("audio/x-ms-wma" | "video/x-ms-wmv"))) => Some(named),
        _ => Some(by_magic),
    }
}

fn is_compound(media_type: &str) -> bool {
    [
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
    ]
    .contains(&media_type)
}

/// The names of an archive's first members tell what it is.
fn zipped(name: &str, head: &[u8]) -> &'static str {
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    if has(b"application/vnd.oasis.opendocument.spreadsheet") {
        return "application/vnd.oasis.opendocument.spreadsheet";
    }
    if has(b"OFD.xml") {
        return "application/ofd";
    }
    if has(b"word/") {
        return DOCX;
    }
    if has(b"xl/") {
        return XLSX;
    }
    if has(b"ppt/") {
        return PPTX;
    }
    // The telling member may come later than we look.
    match media_type_of_name(name) {
        Some(named @ (DOCX | XLSX | PPTX | "application/ofd"))
            if has(b"[Content_Types].xml") || named == "application/ofd" =>
        {
            named
        }
        Some(named @ "application/vnd.oasis.opendocument.spreadsheet") => named,
        _ => "application/zip",
    }
}

/// Returns whether a claim and what was found are the same kind of file in other words.
pub(super) fn is_same_kind(claimed: &str, found: &str) -> bool {
    let claimed = claimed.split(';').next().unwrap_or_default().trim();
    let family = |media_type: &str| match media_type {
        "image/jpg" | "image/pjpeg" => "image/jpeg".to_owned(),
        "image/x-png" => "image/png".to_owned(),
        "image/x-ms-bmp" => "image/bmp".to_owned(),
        "audio/mp3" | "audio/x-mp3" | "audio/mpeg3" => "audio/mpeg".to_owned(),
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav".to_owned(),
        "audio/m4a" | "audio/x-m4a" => "audio/mp4".to_owned(),
        "audio/x-flac" => "audio/flac".to_owned(),
        "video/ogg" | "application/ogg" => "audio/ogg".to_owned(),
        "video/avi" | "video/msvideo" => "video/x-msvideo".to_owned(),
        "audio/webm" | "video/x-matroska" | "audio/x-matroska" => "video/webm".to_owned(),
        "video/x-m4v" | "video/3gpp" => "video/mp4".to_owned(),
        "application/x-pdf" => "application/pdf".to_owned(),
        "application/x-zip-compressed" | "application/x-zip" => "application/zip".to_owned(),
        "application/x-rar-compressed" | "application/x-rar" => "application/vnd.rar".to_owned(),
        "application/x-gzip" => "application/gzip".to_owned(),
        "text/rtf" => "application/rtf".to_owned(),
        "application/ofd+zip" | "application/x-ofd" => "application/ofd".to_owned(),
        other => other.to_owned(),
    };
    let (claimed, found) = (family(claimed), family(found));
    // Offices of China have types of their own in the same containers.
    let own_office = claimed.contains("wps") || claimed.contains("kingsoft");
    claimed == found || own_office || is_compound(&claimed) && found == "application/x-ole-storage"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (name, head, expected) in [
            ("a.bin", &b"%PDF-1.7"[..], Some("application/pdf")),
            ("a.pdf", b"\x89PNG\r\n\x1a\n", Some("image/png")),
            ("a.mp3", b"ID3\x03\0", Some("audio/mpeg")),
            ("a.mp4", b"\0\0\0\x20ftypisom", Some("video/mp4")),
            ("a.m4a", b"\0\0\0\x20ftypM4A ", Some("audio/mp4")),
            ("a.wav", b"RIFF\0\0\0\0WAVE", Some("audio/wav")),
            ("a.docx", b"PK\x03\x04......word/document.xml", Some(DOCX)),
            ("a.docx", b"PK\x03\x04...xl/workbook.xml", Some(XLSX)),
            ("a.ofd", b"PK\x03\x04....OFD.xml", Some("application/ofd")),
            ("a.xlsx", b"PK\x03\x04..[Content_Types].xml", Some(XLSX)),
            ("a.xlsx", b"PK\x03\x04..readme.txt", Some("application/zip")),
            (
                "a.doc",
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
                Some("application/msword"),
            ),
            (
                "a.pdf",
                b"MZ\x90\0",
                Some("application/vnd.microsoft.portable-executable"),
            ),
            ("a.txt", b"MZ is how this text begins", None),
            ("a.csv", "甲,乙".as_bytes(), None),
        ] {
            assert_eq!(sniff(name, head), expected, "{name} {head:?}");
        }
    }

    #[test]
    fn other_words_for_the_same_kind_are_no_contradiction() {
        assert!(is_same_kind("image/jpg", "image/jpeg"));
        assert!(is_same_kind("application/pdf; x=1", "application/pdf"));
        assert!(is_same_kind("application/kswps", "application/msword"));
        assert!(!is_same_kind("application/pdf", "image/png"));
    }
}
