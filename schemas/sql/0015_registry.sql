-- Which registry a version was made with, when a record was due, and when it could first be seen.
CREATE TABLE catalogues (
    version        BIGINT PRIMARY KEY,
    sha256         TEXT NOT NULL UNIQUE,
    content        TEXT NOT NULL,           -- JSON: everything it says
    changes        TEXT NOT NULL,           -- JSON: what differs from the version before
    first_seen_at  BIGINT NOT NULL
);

ALTER TABLE versions ADD COLUMN catalogue_version BIGINT;

ALTER TABLE records ADD COLUMN due_at BIGINT;           -- the first moment that is too late
ALTER TABLE records ADD COLUMN due_provisional BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE records ADD COLUMN public_at BIGINT;        -- when it was first accepted and not held
CREATE INDEX records_late ON records (updated_at, id)
    WHERE due_at IS NOT NULL AND (public_at IS NULL OR due_at <= public_at);
