use super::*;

fn clean_html(html: &str) -> Result<String, HtmlError> {
    super::clean_html(html).map(|cleaned| cleaned.html)
}
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn word_processor_noise_goes_and_text_survives() {
    for (pasted, clean) in [
        (
            "<p class=MsoNormal style='mso-x:1'><span lang=EN-US>关于<o:p></o:p></span></p>",
            "<p>关于</p>",
        ),
        (
            "<?xml:namespace prefix = o ns = \"urn:x\" /><DIV><FONT face=宋体>甲<o:p>乙</o:p></FONT></DIV>",
            "<p>甲乙</p>",
        ),
        (
            "<!--[if gte mso 9]><xml><w:View>Normal</w:View></xml><![endif]--><style><!-- p {} --></style><p>甲</p>",
            "<p>甲</p>",
        ),
        ("<xml><w:View>Normal</w:View></xml><p>甲</p>", "<p>甲</p>"),
        (
            "<p>&nbsp;</p><p><o:p>&nbsp;</o:p></p><p> </p><p>甲</p>",
            "<p>甲</p>",
        ),
        ("<P>&nbsp;&nbsp;&nbsp; 一、总则</P>", "<p>一、总则</p>"),
        (
            "<div>甲</div><div>乙<br></div>丙",
            "<p>甲</p><p>乙</p><p>丙</p>",
        ),
        (
            "<P>韶关市财政局<BR>2014年10月8日</P>",
            "<p>韶关市财政局<br>2014年10月8日</p>",
        ),
        (
            "<b><p>甲</p><p>乙</p></b>",
            "<p><b>甲</b></p><p><b>乙</b></p>",
        ),
        ("<![if !supportLists]>一、<![endif]>甲", "<p>一、甲</p>"),
        ("总额<5万元，且>3万元", "<p>总额&lt;5万元，且&gt;3万元</p>"),
        (
            "关于印发\n专栏的通知 annual\nreport",
            "<p>关于印发专栏的通知 annual report</p>",
        ),
        ("<p title=\"a>b\">甲</p>", "<p>甲</p>"),
    ] {
        assert_eq!(clean_html(pasted).unwrap(), clean, "{pasted}");
    }
}

#[test]
fn nothing_that_acts_remains() {
    for (hostile, clean) in [
        ("<script>alert(1)</script><p>甲</p>", "<p>甲</p>"),
        ("<p onclick=\"x()\">甲</p>", "<p>甲</p>"),
        ("<a href=\"javascript:x()\">甲</a>", "<p>甲</p>"),
        (
            "<a href=\"http://a.cn/?a=1&amp;b=2\" target=_blank>甲</a>",
            "<p><a href=\"http://a.cn/?a=1&amp;b=2\">甲</a></p>",
        ),
        (
            "<img src=\"http://a.cn/1.png\"><img src=x onerror=y>甲",
            "<p>甲</p>",
        ),
        (
            "<img src=\"https://a.cn/1.png\" alt=\"图\" width=3>",
            "<p><img src=\"https://a.cn/1.png\" alt=\"图\"></p>",
        ),
        ("<iframe src=\"https://a.cn\"></iframe>甲", "<p>甲</p>"),
        (
            "<scr<span>ipt>alert(1)</scr</span>ipt>甲",
            "<p>ipt&gt;alert(1)ipt&gt;甲</p>",
        ),
        (
            "<svg><style><img src=x onerror=y></style></svg>甲",
            "<p>甲</p>",
        ),
        ("<!--> <script>x</script> -->甲", "<p>--&gt;甲</p>"),
    ] {
        assert_eq!(clean_html(hostile).unwrap(), clean, "{hostile}");
    }
}

#[test]
fn tables_keep_their_shape() {
    let pasted = "<TABLE border=1><TBODY><TR><TD colSpan=2 width=9><P><SPAN>姓名</SPAN></P></TD><TD rowspan=\"1\">&nbsp;</TD></TR></TBODY></TABLE>";
    assert_eq!(
        clean_html(pasted).unwrap(),
        "<table><tbody><tr><td colspan=\"2\"><p>姓名</p></td><td></td></tr></tbody></table>"
    );
}

#[test]
fn plain_text_joins_inline_and_divides_blocks_and_cells() {
    let html = clean_html(
        "<h3>名单</h3><table><tr><td><p>张<b>三</b></p></td><td></td><td>138<b>0013</b><span>8000</span></td></tr><tr><td>李四</td><td>甲<br>乙</td></tr></table><p>a&amp;b</p>",
    )
    .unwrap();
    assert_eq!(
        plain_text(&html),
        "名单\n张三\t\t13800138000\n李四\t甲\n乙\na&b"
    );
}

#[test]
fn lines_of_plain_text_become_paragraphs() {
    assert_eq!(
        text_to_html("　　一、甲 <b>&\r\n\n 　\n\t乙   丙\n").unwrap(),
        "<p>一、甲 &lt;b&gt;&amp;</p><p>乙 丙</p>"
    );
}

#[test]
fn text_built_to_exhaust_a_parser_ends_quickly() {
    let distinct: String = (0..100_000).map(|n| format!("<b id={n}><p>")).collect();
    let misnested: String = (0..80_000)
        .map(|n| format!("<div><b x={n}></div>"))
        .collect();
    let cases = [
        ("nested divisions", "<div>".repeat(100_000)),
        ("open b", "<b>".repeat(100_000)),
        ("open a", "<a href=x>".repeat(100_000)),
        ("distinct b", distinct),
        ("misnested b", misnested),
        ("end tags", "</x>".repeat(100_000)),
        ("namespaced", "<o:p>".repeat(200_000)),
        ("paragraphs", format!("<b><i><u>{}", "<p>甲".repeat(20_000))),
        (
            "attributes",
            format!("<p {}>甲</p>", "a=1 ".repeat(250_000)),
        ),
        (
            "one attribute",
            format!("<p title=\"{}\">甲</p>", "x".repeat(1_000_000)),
        ),
        ("open comments", "<!--".repeat(250_000)),
        ("open quotes", "<p a=\"".repeat(150_000)),
        ("angles", "<".repeat(20_000)),
        ("bare ampersands", "&".repeat(20_000)),
        ("references", "&amp;".repeat(20_000)),
        ("unknown references", "&zz;".repeat(20_000)),
        (
            "ampersands in attributes",
            format!("<p a=\"{}\">甲</p>", "&".repeat(1_000_000)),
        ),
        ("no-break spaces", "&nbsp;甲".repeat(20_000)),
        ("middle dots", "·".repeat(100_000)),
        (
            "a long address",
            format!("<a href=\"http://a/{}\">甲</a>", "&".repeat(500_000)),
        ),
        ("tables", "<table><tr><td>".repeat(60_000)),
        (
            "foster parents",
            format!("<table>{}", "<b>甲</b>".repeat(60_000)),
        ),
    ];
    for (name, text) in cases {
        let start = Instant::now();
        let _ = clean_html(&text);
        let spent = start.elapsed();
        assert!(spent < Duration::from_secs(60), "{name} took {spent:?}");
    }
    assert_eq!(
        clean_html(&"<div>".repeat(100_000)),
        Err(HtmlError::TooDeep)
    );
    let long = "甲".repeat(BODY_CHARS_MAX + 1);
    assert_eq!(clean_html(&long), Err(HtmlError::TooLong));
    assert_eq!(text_to_html(&long), Err(HtmlError::TooLong));
}

#[test]
fn old_pages_with_unclosed_paragraphs_are_not_too_deep() {
    let page = "<P><FONT size=4>甲<LI>乙".repeat(2_000);
    assert!(clean_html(&page).is_ok());
}

#[test]
fn links_do_not_nest_and_lead_somewhere() {
    let html = "<a href=http://a<p><table><a href=http://a>甲</a>";
    assert_eq!(
        clean_html(html).unwrap(),
        "<p><a href=\"http://a\">甲</a></p><table></table>"
    );
    assert_eq!(clean_html("<a>乙</a>").unwrap(), "<p>乙</p>");
}

proptest! {
    #[test]
    fn cleaning_twice_changes_nothing_more(
        html in "(<(p|div|b|i|td|tr|table|ul|li|br|h1|a href=http://a|img src=https://a|/p|/div|/b|/td|/tr|/table|/li|/ul|/a|!--|/x)>?|[甲a&;<> \n]|&nbsp;|&amp;){0,40}"
    ) {
        let once = clean_html(&html).unwrap();
        prop_assert_eq!(clean_html(&once).unwrap(), once.clone());
        let _ = plain_text(&once);
    }

    #[test]
    fn any_text_can_be_cleaned(text in "\\PC{0,200}") {
        let _ = clean_html(&text);
        let _ = plain_text(&text);
        let html = text_to_html(&text).unwrap();
        prop_assert_eq!(clean_html(&html).unwrap(), html);
    }
}

#[test]
fn pictures_in_the_text_are_taken_out_and_lost_ones_are_counted() {
    let pasted = "<p>甲<IMG alt=图 src=\"data:image/PNG;base64,AAAA\">乙\
        <img src='file:///C:/a.png'><img src='https://a.cn/b.png'><img src='data:image/svg+xml;base64,AAAA'></p>";
    let cleaned = super::clean_html(pasted).unwrap();
    assert_eq!(cleaned.html, "<p>甲乙<img src=\"https://a.cn/b.png\"></p>");
    assert_eq!(
        cleaned.dropped.images,
        [InlineImage {
            media_type: "image/png".to_owned(),
            content_base64: "AAAA".to_owned(),
        }]
    );
    assert_eq!(cleaned.dropped.images_lost, 2);
}

#[test]
fn a_text_is_as_long_as_it_is_without_its_pictures() {
    let picture = "A".repeat(BODY_CHARS_MAX);
    let pasted = format!("<p>甲<img src=\"data:image/jpeg;base64,{picture}\"></p>");
    let cleaned = super::clean_html(&pasted).unwrap();
    assert_eq!(cleaned.html, "<p>甲</p>");
    assert_eq!(cleaned.dropped.images.len(), 1);
}

#[test]
fn what_acts_is_counted() {
    let cleaned = super::clean_html(
        "<script>x</script><p onclick=x>甲</p><iframe src=x></iframe><a href='javascript:x'>乙</a>",
    )
    .unwrap();
    assert_eq!((cleaned.dropped.scripts, cleaned.dropped.embedded), (3, 1));
}
