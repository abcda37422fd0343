-- What screening found in a version, what a correction changed, and records of the same document.

ALTER TABLE versions ADD COLUMN findings TEXT NOT NULL DEFAULT '[]';
ALTER TABLE versions ADD COLUMN changes TEXT NOT NULL DEFAULT '[]';

-- Date, then digest of number and title: neighbours in time are neighbours in the index.
ALTER TABLE records ADD COLUMN document_key TEXT;
CREATE INDEX records_document_key ON records (document_key);
