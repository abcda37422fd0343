use super::*;
use lopdf::content::{Content, Operation};
use lopdf::{Object, Stream, StringFormat, dictionary};
use proptest::prelude::*;
use std::io::{Cursor, Write as _};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MOBILE: &str = "13800138000";

/// Packs files into an archive.
pub(crate) fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn docx(body: &str) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"urn:w\"><w:body>{body}</w:body></w:document>"
    );
    zipped(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", document.as_bytes()),
        ("docProps/app.xml", b"<a>13900139000</a>"),
    ])
}

fn text(read: Readable) -> String {
    match read {
        Readable::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_of_a_document_are_read_row_by_row() {
    let body = "<w:p><w:r><w:t>秘密</w:t></w:r><w:r><w:t>★1年</w:t></w:r></w:p><w:tbl><w:tr>\
        <w:tc><w:p><w:r><w:t>张三</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>1380013</w:t></w:r><w:r><w:t>8000</w:t></w:r></w:p></w:tc>\
        </w:tr></w:tbl><w:p><w:r><w:delText>删&#53024;&amp;除</w:delText></w:r></w:p>";
    let read = text(read("公示.docx", "", &docx(body)));
    assert!(read.contains("秘密★1年\n"), "{read:?}");
    assert!(read.contains("张三\t13800138000"), "{read:?}");
    assert!(read.contains("删"), "{read:?}");
    assert!(!read.contains("13900139000"), "{read:?}");
}

#[test]
fn an_archive_is_read_to_its_depth_and_no_further() {
    let list = format!("张三,{MOBILE}");
    let inner = zipped(&[("名单.csv", list.as_bytes())]);
    let twice = zipped(&[("内.zip", &inner), ("图.jpg", b"\xff\xd8")]);
    assert!(text(read("外.zip", "", &twice)).contains(MOBILE));
    let mut nested = inner;
    for _ in 0..5 {
        nested = zipped(&[("内.zip", &nested)]);
    }
    assert!(matches!(read("外.zip", "", &nested), Readable::InPart(_)));
}

#[test]
fn names_in_an_archive_are_part_of_its_text() {
    let archive = zipped(&[("张三13800138000.jpg", b"\xff\xd8")]);
    assert!(text(read("a.zip", "", &archive)).contains(MOBILE));
}

#[test]
fn a_bomb_is_read_to_its_limit() {
    let zeros = vec![b'0'; 80 << 20];
    let bomb = zipped(&[("0.txt", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(
        read("a.zip", "", &bomb),
        Readable::No | Readable::InPart(_)
    ));
    let many: Vec<(String, Vec<u8>)> = (0..600).map(|n| (format!("{n}.txt"), Vec::new())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(a, b)| (a.as_str(), &b[..])).collect();
    assert!(matches!(
        read("a.zip", "", &zipped(&many)),
        Readable::InPart(_)
    ));
}

/// Makes a PDF of one page; `to_unicode` makes its font one of two-byte codes.
fn pdf(shown: Vec<u8>, to_unicode: Option<&str>) -> Vec<u8> {
    let mut document = lopdf::Document::with_version("1.5");
    let pages = document.new_object_id();
    let font = match to_unicode {
        None => dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier"},
        Some(map) => {
            let map = document.add_object(Stream::new(dictionary! {}, map.as_bytes().to_vec()));
            dictionary! {
                "Type" => "Font", "Subtype" => "Type0", "BaseFont" => "SimSun",
                "Encoding" => "Identity-H", "ToUnicode" => map,
            }
        }
    };
    let font = document.add_object(font);
    let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
    let operations = if shown.is_empty() {
        Vec::new()
    } else {
        vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 12.into()]),
            Operation::new("Tj", vec![Object::String(shown, StringFormat::Hexadecimal)]),
            Operation::new("ET", vec![]),
        ]
    };
    let content = Content { operations }.encode().unwrap();
    let content = document.add_object(Stream::new(dictionary! {}, content));
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages, "Contents" => content, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    document.objects.insert(
        pages,
        Object::Dictionary(
            dictionary! {"Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1},
        ),
    );
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
    document.trailer.set("Root", catalog);
    document.compress();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_pages_of_a_pdf_are_read() {
    let plain = pdf(MOBILE.as_bytes().to_vec(), None);
    assert!(text(read("a.pdf", "", &plain)).contains(MOBILE));
    // Codes are the places of letters in the font; its map says what they are.
    let map = "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
        /CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n\
        /CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n\
        1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n\
        1 beginbfrange\n<0003> <000C> <0030>\nendbfrange\n\
        1 beginbfchar\n<0010> <5F20>\nendbfchar\n\
        endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n";
    let codes: Vec<u8> = std::iter::once(0x10)
        .chain(MOBILE.bytes().map(|digit| digit - b'0' + 3))
        .flat_map(|code| [0, code])
        .collect();
    let read_text = text(read("a.pdf", "", &pdf(codes, Some(map))));
    assert!(read_text.contains("张13800138000"), "{read_text:?}");
    assert_eq!(read("a.pdf", "", &pdf(Vec::new(), None)), Readable::NoText);
    assert_eq!(read("a.pdf", "", b"%PDF-1.5 nothing"), Readable::No);
}

#[test]
fn old_documents_give_up_their_numbers() {
    let mut bytes = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    bytes.extend("WordDocument".encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend([0; 32]);
    bytes.extend(
        "联系人张三，13800138000"
            .encode_utf16()
            .flat_map(u16::to_le_bytes),
    );
    assert!(text(read("a.doc", "", &bytes)).contains("张三，13800138000"));
    bytes.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(read("a.doc", "", &bytes), Readable::No);
}

#[test]
fn what_should_be_readable_and_is_not_is_told() {
    for name in ["a.docx", "a.pdf", "a.ofd", "a.zip", "a.rar", "a.7z"] {
        assert_eq!(read(name, "", b"\0\x01nothing"), Readable::No, "{name}");
    }
    assert_eq!(read("a.jpg", "", b"\xff\xd8"), Readable::Opaque);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_files_are_read_without_harm(
        which in 0usize..4,
        wounds in proptest::collection::vec((0usize..4_000, any::<u8>()), 0..20),
        cut in 0usize..4_000,
    ) {
        let mut bytes = match which {
            0 => docx("<w:p><w:r><w:t>甲</w:t></w:r></w:p>"),
            1 => pdf(MOBILE.as_bytes().to_vec(), None),
            2 => zipped(&[("a.zip", &zipped(&[("b.txt", b"b")]))]),
            _ => [&[0xd0, 0xcf, 0x11, 0xe0][..], &[b'a'; 200]].concat(),
        };
        for (place, byte) in wounds {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 200));
        let _ = read("a.docx", "", &bytes);
    }

    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), start in 0usize..5) {
        let head: &[u8] = [b"PK\x03\x04".as_slice(), b"%PDF-1.7\n", &[0xd0, 0xcf, 0x11, 0xe0], b"", b"<"][start];
        let _ = read("a.xlsx", "text/plain", &[head, &bytes].concat());
    }
}
