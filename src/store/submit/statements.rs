//! The statements that write what a round decided.

use super::super::bulk::{Bulk, Kind};

const COLUMNS: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("source", Kind::Text),
    ("source_id", Kind::Text),
    ("revision", Kind::Int),
    ("version", Kind::Int),
    ("state", Kind::Text),
    ("action", Kind::Text),
    ("title", Kind::Text),
    ("doc_no", Kind::Text),
    ("unit_code", Kind::Text),
    ("unit_name", Kind::Text),
    ("area", Kind::Text),
    ("column_name", Kind::Text),
    ("index_no", Kind::Text),
    ("written_on", Kind::Text),
    ("disclosure", Kind::Text),
    ("content_sha256", Kind::Text),
    ("body_sha256", Kind::Text),
    ("document_key", Kind::Text),
    ("due_at", Kind::Int),
    ("due_provisional", Kind::Bool),
    ("now", Kind::Int),
];

pub(super) static INSERT_RECORDS: Bulk = Bulk::new(
    COLUMNS,
    "INSERT INTO records (id, source, source_id, revision, version, state, action, title, \
     doc_no, unit_code, unit_name, area, column_name, index_no, written_on, disclosure, \
     content_sha256, body_sha256, document_key, due_at, due_provisional, public_at, \
     created_at, updated_at) \
     SELECT id, source, source_id, revision, version, state, action, title, doc_no, unit_code, \
     unit_name, area, column_name, index_no, written_on, disclosure, content_sha256, \
     body_sha256, document_key, due_at, due_provisional, \
     CASE WHEN state = 'live' THEN now END, now, now FROM given",
);

/// A record of an earlier release has no due moment, and was public if it is live.
pub(super) static REPLACE_RECORDS: Bulk = Bulk::new(
    COLUMNS,
    "UPDATE records SET revision = given.revision, version = given.version, \
     state = given.state, action = given.action, title = given.title, doc_no = given.doc_no, \
     unit_code = given.unit_code, unit_name = given.unit_name, area = given.area, \
     column_name = given.column_name, index_no = given.index_no, \
     written_on = given.written_on, disclosure = given.disclosure, \
     content_sha256 = given.content_sha256, body_sha256 = given.body_sha256, \
     document_key = given.document_key, due_at = given.due_at, \
     due_provisional = given.due_provisional, public_at = COALESCE(records.public_at, CASE \
     WHEN records.due_at IS NULL AND records.state = 'live' THEN records.created_at \
     WHEN given.state = 'live' THEN given.now END), updated_at = given.now \
     FROM given WHERE records.id = given.id",
);

/// For withdrawals and raised revisions: what the record says stays.
pub(super) static UPDATE_RECORDS: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("revision", Kind::Int),
        ("version", Kind::Int),
        ("state", Kind::Text),
        ("action", Kind::Text),
        ("content_sha256", Kind::Text),
        ("body_sha256", Kind::Text),
        ("now", Kind::Int),
    ],
    "UPDATE records SET revision = given.revision, version = given.version, \
     state = given.state, action = given.action, content_sha256 = given.content_sha256, \
     body_sha256 = given.body_sha256, updated_at = given.now \
     FROM given WHERE records.id = given.id",
);

pub(super) static INSERT_SUBMISSIONS: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("account_id", Kind::Text),
        ("source", Kind::Text),
        ("source_id", Kind::Text),
        ("revision", Kind::Int),
        ("action", Kind::Text),
        ("reason", Kind::Text),
        ("body", Kind::Text),
        ("body_sha256", Kind::Text),
        ("idempotency_key", Kind::Text),
        ("record_id", Kind::Text),
        ("version", Kind::Int),
        ("received_at", Kind::Int),
    ],
    "INSERT INTO submissions (id, account_id, source, source_id, revision, action, reason, \
     body, body_sha256, idempotency_key, record_id, version, received_at) \
     SELECT id, account_id, source, source_id, revision, action, reason, body, body_sha256, \
     idempotency_key, record_id, version, received_at FROM given",
);

pub(super) static INSERT_VERSIONS: Bulk = Bulk::new(
    &[
        ("record_id", Kind::Text),
        ("version", Kind::Int),
        ("revision", Kind::Int),
        ("action", Kind::Text),
        ("submission_id", Kind::Text),
        ("content_sha256", Kind::Text),
        ("document", Kind::Text),
        ("holds", Kind::Text),
        ("warnings", Kind::Text),
        ("platforms", Kind::Text),
        ("reason", Kind::Text),
        ("findings", Kind::Text),
        ("changes", Kind::Text),
        ("catalogue_version", Kind::Int),
        ("now", Kind::Int),
    ],
    "INSERT INTO versions (record_id, version, revision, action, submission_id, \
     content_sha256, document, holds, warnings, platforms, reason, findings, changes, \
     catalogue_version, created_at) \
     SELECT record_id, version, revision, action, submission_id, content_sha256, document, \
     holds, warnings, platforms, reason, findings, changes, catalogue_version, now FROM given",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 5] = [
    &INSERT_RECORDS,
    &REPLACE_RECORDS,
    &UPDATE_RECORDS,
    &INSERT_SUBMISSIONS,
    &INSERT_VERSIONS,
];
