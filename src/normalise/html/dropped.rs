//! What cleaning takes out of a text that its clerk would miss: pictures, and what acts.

/// Most pictures that are taken out of one text.
const IMAGES_MAX: usize = 100;
/// Pictures that are kept; SVG is not one of them, it can act.
const IMAGE_TYPES: [&str; 6] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/bmp",
    "image/webp",
    "image/tiff",
];
/// Elements that bring something else into the text.
const EMBEDDED: [&str; 9] = [
    "iframe", "object", "embed", "applet", "video", "audio", "form", "input", "svg",
];

/// A picture that was written into the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineImage {
    /// One of the media types of pictures.
    pub media_type: String,
    /// Its content in Base64.
    pub content_base64: String,
}

/// What was taken out of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Pictures written into the text, in order.
    pub images: Vec<InlineImage>,
    /// Pictures that only the clerk's own computer or network has.
    pub images_lost: usize,
    /// Scripts and event handlers.
    pub scripts: usize,
    /// Frames, players, forms.
    pub embedded: usize,
}

impl Dropped {
    /// Notes what will be lost of a start tag; returns whether the tag goes at once.
    pub(super) fn look_at(&mut self, name: &str, tag: &str) -> bool {
        match name {
            "script" => self.scripts += 1,
            "img" => {
                let source = attribute(tag, "src").unwrap_or_default().trim();
                if let Some(image) = inline_image(source).filter(|_| self.images.len() < IMAGES_MAX)
                {
                    self.images.push(image);
                    return true;
                }
                if !starts_with_ignoring_case(source, "https://") {
                    self.images_lost += 1;
                    return true;
                }
            }
            _ if EMBEDDED.contains(&name) => self.embedded += 1,
            _ => {}
        }
        if has_handler(tag) {
            self.scripts += 1;
        }
        false
    }
}

impl Dropped {
    /// Returns what a clerk should know as (code, sentence); `damaged` of the pictures could not
    /// be read.
    pub fn words(&self, damaged: usize) -> Vec<(&'static str, String)> {
        let kept = self.images.len().saturating_sub(damaged);
        let lost = self.images_lost + damaged;
        [
            (
                kept,
                "image_extracted",
                "正文中的 {} 张图片已转为附件，请核对附件顺序。",
            ),
            (
                lost,
                "image_lost",
                "正文中的 {} 张图片没有随文提交（图片在本机、内网或已损坏），请作为附件提交。",
            ),
            (self.scripts, "script_removed", "正文中的 {} 处脚本已删除。"),
            (
                self.embedded,
                "embedded_removed",
                "正文中的 {} 处内嵌内容（播放器、表单、框架等）已删除，需要公开的请作为附件提交。",
            ),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, code, detail)| (code, detail.replace("{}", &count.to_string())))
        .collect()
    }
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// `data:image/png;base64,…`
fn inline_image(source: &str) -> Option<InlineImage> {
    if !starts_with_ignoring_case(source, "data:") {
        return None;
    }
    let (head, content) = source["data:".len()..].split_once(',')?;
    let mut parts = head.split(';').map(str::trim);
    let media_type = match parts.next()?.to_ascii_lowercase().as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg".to_owned(),
        other => other.to_owned(),
    };
    let is_base64 = parts.any(|part| part.eq_ignore_ascii_case("base64"));
    (is_base64 && IMAGE_TYPES.contains(&media_type.as_str())).then(|| InlineImage {
        media_type,
        content_base64: content.to_owned(),
    })
}

/// Returns the value of an attribute of a start tag, as it is written.
fn attribute<'a>(tag: &'a str, wanted: &str) -> Option<&'a str> {
    attributes(tag).find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
}

fn has_handler(tag: &str) -> bool {
    // Most tags have no attribute at all.
    tag.contains('=')
        && attributes(tag).any(|(name, value)| {
            starts_with_ignoring_case(name, "on")
                || starts_with_ignoring_case(value.trim_start(), "javascript:")
        })
}

/// Reads the attributes of a start tag as (name, value).
fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_gap = |letter: char| letter.is_ascii_whitespace() || letter == '/';
    let start = tag.find(is_gap).unwrap_or(tag.len());
    let mut rest = tag[start..].trim_end_matches('>');
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_gap);
        if rest.is_empty() {
            return None;
        }
        // A name may begin with an equals sign, as a browser reads it.
        let name_end = rest
            .char_indices()
            .skip(1)
            .find(|(_, letter)| is_gap(*letter) || *letter == '=')
            .map_or(rest.len(), |(place, _)| place);
        let (name, after) = rest.split_at(name_end);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = after;
            return Some((name, ""));
        };
        let value = value.trim_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => {
                let end = value
                    .find(|letter: char| letter.is_ascii_whitespace())
                    .unwrap_or(value.len());
                value.split_at(end)
            }
        };
        rest = after;
        Some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_read_as_a_browser_reads_them() {
        let tag = "<img a =1 b='x y' c=\"z>\" d e=f/>";
        let read: Vec<_> = attributes(tag).collect();
        assert_eq!(
            read,
            [
                ("a", "1"),
                ("b", "x y"),
                ("c", "z>"),
                ("d", ""),
                ("e", "f/")
            ]
        );
        assert_eq!(attribute("<IMG SRC=x>", "src"), Some("x"));
    }

    #[test]
    fn handlers_are_seen_and_words_that_begin_alike_are_not() {
        assert!(has_handler("<p onclick=x()>"));
        assert!(has_handler("<p/OnClick='x'>"));
        assert!(has_handler("<a href=\" javascript:x\">"));
        assert!(!has_handler("<p title=\"on =\">"));
        assert!(!has_handler("<p>"));
    }

    proptest! {
        #[test]
        fn any_tag_can_be_read(tag in "\\PC*|<[a-z =\"'/>甲]{0,40}") {
            let _ = attributes(&tag).count();
            let _ = Dropped::default().look_at("img", &tag);
        }
    }
}
