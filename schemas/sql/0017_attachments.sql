-- The content of files lives in the object store; rows of before keep theirs here. A row comes
-- before its object and goes after it, so that an object nobody refers to can be told and removed.

ALTER TABLE attachments ADD COLUMN state TEXT NOT NULL DEFAULT 'kept'
    CHECK (state IN ('arriving', 'kept', 'removing'));
ALTER TABLE attachments ADD COLUMN touched_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX attachments_loose ON attachments (sha256) WHERE state <> 'kept';
