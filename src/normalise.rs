//! turns what arrived into one canonical record.
/// x
pub fn plain_text(html: &str) -> String {
    html.to_owned()
}
