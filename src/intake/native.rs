//! The fields of a native submission, as profiles, labels and sheets name them.

/// Every field that holds one value, as a pointer.
const FIELDS: [&str; 25] = [
    "/source_id",
    "/revision",
    "/action",
    "/reason",
    "/entry/title",
    "/entry/doc_no",
    "/entry/unit",
    "/entry/written_on",
    "/entry/disclosure",
    "/entry/area",
    "/entry/column",
    "/entry/genre",
    "/entry/keywords",
    "/entry/abstract",
    "/entry/index_no",
    "/entry/body/format",
    "/entry/body/content",
    "/entry/attachments",
    "/entry/project/code",
    "/entry/project/name",
    "/entry/project/owner",
    "/entry/project/group",
    "/entry/credit/subject",
    "/entry/credit/uscc",
    "/entry/credit/group",
];

/// Returns the pointers of all fields.
pub(super) fn fields<'a>() -> impl Iterator<Item = &'a str> {
    FIELDS.into_iter()
}

/// Whether a native submission has this field.
pub(super) fn is_field(pointer: &str) -> bool {
    FIELDS.contains(&pointer)
}

/// Returns the names of a field that need no table: `entry.project.code` and `project.code`.
pub(super) fn names(pointer: &str) -> Vec<String> {
    let full = pointer.trim_start_matches('/').replace('/', ".");
    match full.strip_prefix("entry.") {
        Some(short) => vec![short.to_owned(), full],
        None => vec![full],
    }
}
