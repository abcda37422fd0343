-- What was looked at on a platform, and what was found. One is open per platform at a time.
CREATE TABLE verifications (
    id             TEXT PRIMARY KEY,
    platform       TEXT NOT NULL,
    actor          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    repair         BOOLEAN NOT NULL,        -- what is missing or stale is sent again
    scheduled_for  BIGINT,                  -- when the connector's schedule wanted it; none: by hand
    state          TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cancelled')),
    lease_owner    TEXT,
    lease_until    BIGINT NOT NULL,
    after_record   TEXT NOT NULL,           -- everything up to this record is looked at
    looked         BIGINT NOT NULL,
    confirmed      BIGINT NOT NULL,
    under_review   BIGINT NOT NULL,
    missing        BIGINT NOT NULL,
    stale          BIGINT NOT NULL,
    altered        BIGINT NOT NULL,
    unanswered     BIGINT NOT NULL,
    skipped        BIGINT NOT NULL,         -- changed while it was looked at
    repaired       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    started_at     BIGINT,
    finished_at    BIGINT,
    UNIQUE (platform, scheduled_for)
);
CREATE UNIQUE INDEX verifications_open ON verifications (platform)
    WHERE state IN ('waiting', 'running');

-- Everything that was not as it should be.
CREATE TABLE verification_items (
    verification_id  TEXT NOT NULL REFERENCES verifications (id),
    delivery_id      TEXT NOT NULL,
    record_id        TEXT NOT NULL,
    version          BIGINT NOT NULL,
    verdict          TEXT NOT NULL CHECK (verdict IN ('under_review', 'missing', 'stale',
                         'altered', 'unanswered')),
    detail           TEXT NOT NULL,
    repaired         BOOLEAN NOT NULL,
    at               BIGINT NOT NULL,
    PRIMARY KEY (verification_id, delivery_id)
);
