//! Charset and format: what the bytes are counts, and what is too much is refused.

use super::*;
use encoding_rs::{GB18030, GBK};
use proptest::prelude::*;
use serde_json::json;

fn tree(content_type: &str, body: &[u8]) -> Value {
    read(content_type, body).unwrap().tree
}

fn code(content_type: &str, body: &[u8]) -> String {
    let errors = read(content_type, body).unwrap_err();
    assert!(errors[0].detail.chars().any(|it| it > '\u{4e00}'));
    errors[0].code.clone()
}

#[test]
fn the_format_is_told_by_the_first_letter_where_the_header_errs() {
    let form = "application/x-www-form-urlencoded";
    for (claim, body, format) in [
        ("application/json", "{}", Format::Json),
        (form, " {\"a\":1}", Format::Json),
        (form, "\u{feff}<a/>", Format::Xml),
        (form, "a=1", Format::Form),
        ("", "<a/>", Format::Xml),
        ("application/json", "<a/>", Format::Xml),
        ("text/plain", "[1]", Format::Json),
        (
            "multipart/form-data",
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--",
            Format::Multipart,
        ),
        (
            "",
            "--b\nContent-Disposition: form-data; name=a\n\n1\n--b--\n",
            Format::Multipart,
        ),
    ] {
        assert_eq!(
            read(claim, body.as_bytes()).unwrap().format,
            format,
            "{claim} {body}"
        );
    }
}

#[test]
fn any_charset_is_read_in_any_format() {
    let json = "{\"标题\":\"关于喆的通知\"}";
    let wide: Vec<u8> = "\u{feff}"
        .chars()
        .chain(json.chars())
        .collect::<String>()
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let marked = [b"\xef\xbb\xbf", json.as_bytes()].concat();
    for body in [json.as_bytes(), &GB18030.encode(json).0, &wide, &marked] {
        for claim in [
            "application/json; charset=utf-8",
            "application/json; charset=gbk",
        ] {
            assert_eq!(
                tree(claim, body),
                json!({"标题": "关于喆的通知"}),
                "{claim} {body:?}"
            );
        }
    }
    let xml = "<?xml version=\"1.0\" encoding=\"gb2312\"?><信息 级=\"甲\"><标题>喆</标题></信息>";
    for body in [xml.as_bytes(), &GBK.encode(xml).0] {
        assert_eq!(
            tree("text/xml", body),
            json!({"信息": {"@级": "甲", "标题": "喆"}})
        );
    }
    for escaped in ["%B1%EA%CC%E2=%86%B4+1", "%E6%A0%87%E9%A2%98=%E5%96%86+1"] {
        let form = tree(
            "application/x-www-form-urlencoded; charset=UTF-8",
            escaped.as_bytes(),
        );
        assert_eq!(form, json!({"标题": "喆 1"}));
    }
    assert_eq!(
        code("application/json", b"{\"a\":\"\xff\xff\"}"),
        "encoding"
    );
    assert_eq!(
        code("application/x-www-form-urlencoded", b"a=%ff%ff"),
        "encoding"
    );
}

#[test]
fn xml_is_data_and_nothing_else() {
    let mixed = "<a x='1&amp;2'><!-- c --><b>1&lt;2</b><b> <![CDATA[<p>]]> </b><c/><?p?><d>&#x4e2d;&#25991;</d></a>";
    assert_eq!(
        tree("text/xml", mixed.as_bytes()),
        json!({"a": {"@x": "1&2", "b": ["1<2", "<p>"], "c": "", "d": "中文"}})
    );
    let laughs = "<!DOCTYPE a [<!ENTITY b \"bbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
    let many = format!(
        "<a {}/>",
        (0..40).map(|it| format!("x{it}='' ")).collect::<String>()
    );
    for (body, expected) in [
        (laughs.to_owned(), "xml_dtd"),
        ("<a>&nbsp;</a>".to_owned(), "xml_invalid"),
        ("<a x='&y;'/>".to_owned(), "xml_invalid"),
        ("<a><b></a></b>".to_owned(), "xml_invalid"),
        ("<a><b></b>".to_owned(), "xml_invalid"),
        ("<a/><b/>".to_owned(), "xml_invalid"),
        ("<a/>text".to_owned(), "xml_invalid"),
        ("<a x='1' x='2'/>".to_owned(), "xml_invalid"),
        ("<a>&#1;</a>".to_owned(), "control_character"),
        ("<a>\u{1}</a>".to_owned(), "control_character"),
        (
            format!("{}{}", "<a>".repeat(33), "</a>".repeat(33)),
            "too_deep",
        ),
        (
            format!("<a>{}</a>", "<b/>".repeat(50_001)),
            "too_many_fields",
        ),
        (many, "too_many_fields"),
        ("<".to_owned(), "xml_invalid"),
    ] {
        assert_eq!(
            code("text/xml", body.as_bytes()),
            expected,
            "{}",
            &body[..body.len().min(80)]
        );
    }
}

#[test]
fn forms_have_limits() {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        tree(form, b"a=1&a=2&&b&c=%zz%"),
        json!({"a": ["1", "2"], "b": "", "c": "%zz%"})
    );
    let many: String = (0..=MEMBERS_MAX).map(|it| format!("a{it}=&")).collect();
    assert_eq!(code(form, many.as_bytes()), "too_many_fields");
    assert_eq!(code(form, b""), "form_invalid");
    assert_eq!(code(form, b"a=%00"), "control_character");
}

#[test]
fn parts_are_parted_where_the_boundary_stands_on_a_line_of_its_own() {
    let claim = "multipart/form-data; boundary=b";
    let body = b"preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1 --b 2\r\n--bc\r\n\r\n--b \r\n\
        content-disposition: form-data; name=\"f\"; filename=\"C:\\x\\\"y.bin\"\r\nContent-Type: image/png; q=1\r\n\r\n\x00\xff\r\n--b--\r\nepilogue";
    let expected = json!({
        "a": "1 --b 2\r\n--bc\r\n",
        "f": {"name": "C:\\x\"y.bin", "media_type": "image/png", "content_base64": "AP8="},
    });
    assert_eq!(tree(claim, body), expected);
    let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    for body in [
        part.to_owned(),
        "--b--".to_owned(),
        "--c\r\n\r\n--c--".to_owned(),
        "--b\r\nContent-Type: a\r\n\r\n1\r\n--b--".to_owned(),
        format!("--b\r\n{}\r\n\r\n1\r\n--b--", "x".repeat(HEAD_TOO_LONG)),
        part.replace(
            "form-data; name=a",
            "form-data; name=a\r\nContent-Transfer-Encoding: quoted-printable",
        ) + "--b--",
    ] {
        assert_eq!(
            code(claim, body.as_bytes()),
            "multipart_invalid",
            "{}",
            &body[..body.len().min(90)]
        );
    }
    let many = part.repeat(MEMBERS_MAX + 1) + "--b--";
    assert_eq!(code(claim, many.as_bytes()), "too_many_fields");
}

const HEAD_TOO_LONG: usize = 9_000;

/// Letters that the formats and charsets treat in their own ways.
fn text() -> impl Strategy<Value = String> {
    "[a-z0-9 &=+%<>\"';:\\\\\\-\n喆关于〇𠮷]{0,24}"
}

proptest! {
    #[test]
    fn a_form_says_what_was_put_in(pairs in proptest::collection::btree_map("[a-z喆]{1,6}", text(), 1..6), gbk in any::<bool>()) {
        let escaped: Vec<String> = pairs.iter().map(|(name, value)| {
            let escape = |text: &str| {
                let bytes = if gbk { GB18030.encode(text).0.into_owned() } else { text.as_bytes().to_vec() };
                url::form_urlencoded::byte_serialize(&bytes).collect::<String>()
            };
            format!("{}={}", escape(name), escape(value))
        }).collect();
        let form = "application/x-www-form-urlencoded; charset=gbk";
        prop_assert_eq!(tree(form, escaped.join("&").as_bytes()), json!(pairs));
    }

    #[test]
    fn xml_says_what_was_put_in(value in text(), attribute in text(), gbk in any::<bool>()) {
        let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
        let attribute = attribute.replace('\n', " ");
        let xml = format!("<喆 a=\"{}\"><b>{}</b></喆>", escape(&attribute), escape(&value));
        let bytes = if gbk { GB18030.encode(&xml).0.into_owned() } else { xml.into_bytes() };
        prop_assert_eq!(tree("text/xml; charset=gbk", &bytes), json!({"喆": {"@a": attribute, "b": value}}));
    }

    #[test]
    fn parts_say_what_was_put_in(value in text(), file in proptest::collection::vec(any::<u8>(), 1..60)) {
        let mut body = format!("--b-b\r\nContent-Disposition: form-data; name=\"喆\"\r\n\r\n{value}\r\n--b-b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"喆.bin\"\r\n\r\n").into_bytes();
        body.extend_from_slice(&file);
        body.extend_from_slice(b"\r\n--b-b--\r\n");
        let tree = tree("multipart/form-data; boundary=b-b", &body);
        use base64::Engine as _;
        prop_assert_eq!(&tree["喆"], &json!(value));
        prop_assert_eq!(&tree["f"]["content_base64"], &json!(base64::prelude::BASE64_STANDARD.encode(&file)));
    }

    #[test]
    fn any_bytes_are_answered(claim in "(application/json|text/xml|application/x-www-form-urlencoded|multipart/form-data; boundary=b|)", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(errors) = read(&claim, &bytes) {
            prop_assert!(!errors.is_empty());
        }
    }
}
