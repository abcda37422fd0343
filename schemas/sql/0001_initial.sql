-- One text for SQLite and PostgreSQL. Ids are UUIDv7 made by the hub, times unix milliseconds
-- made by the hub, JSON is text; what is searched has its own column.

CREATE TABLE accounts (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    source      TEXT NOT NULL,
    key_sha256  TEXT NOT NULL UNIQUE,
    units       TEXT NOT NULL,              -- JSON array of unit codes, or ["*"]
    operator    BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);

CREATE TABLE records (
    id              TEXT PRIMARY KEY,
    source          TEXT NOT NULL,
    source_id       TEXT NOT NULL,
    revision        BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('live', 'held', 'withdrawn')),
    action          TEXT NOT NULL CHECK (action IN ('publish', 'withdraw')), -- the sender's last word
    title           TEXT NOT NULL,
    doc_no          TEXT,
    unit_code       TEXT NOT NULL,
    unit_name       TEXT NOT NULL,
    area            TEXT,
    column_name     TEXT,
    index_no        TEXT,
    written_on      TEXT NOT NULL,
    disclosure      TEXT NOT NULL,
    content_sha256  TEXT NOT NULL,
    body_sha256     TEXT NOT NULL,          -- of the last submission whose body is stored
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (source, source_id)
);
CREATE INDEX records_updated ON records (updated_at, id);
CREATE INDEX records_unit ON records (unit_code, updated_at, id);
CREATE INDEX records_area ON records (area, updated_at, id);
CREATE INDEX records_state ON records (state, updated_at, id);
CREATE INDEX records_source_id ON records (source_id);
CREATE INDEX records_index_no ON records (index_no);

CREATE TABLE submissions (
    id               TEXT PRIMARY KEY,
    account_id       TEXT NOT NULL,
    source           TEXT NOT NULL,
    source_id        TEXT NOT NULL,
    revision         BIGINT NOT NULL,
    action           TEXT NOT NULL CHECK (action IN ('publish', 'withdraw')),
    reason           TEXT,
    body             TEXT NOT NULL,         -- as received; empty when it repeats stored bytes
    body_sha256      TEXT NOT NULL,
    idempotency_key  TEXT,
    record_id        TEXT NOT NULL REFERENCES records (id),
    version          BIGINT NOT NULL,
    received_at      BIGINT NOT NULL,
    UNIQUE (account_id, idempotency_key)
);
CREATE INDEX submissions_record ON submissions (record_id);

CREATE TABLE versions (
    record_id       TEXT NOT NULL REFERENCES records (id),
    version         BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    action          TEXT NOT NULL CHECK (action IN ('publish', 'withdraw')),
    submission_id   TEXT,                   -- none for an operator's withdrawal
    content_sha256  TEXT NOT NULL,
    document        TEXT,                   -- canonical record; none for a withdrawal of a known record
    holds           TEXT NOT NULL,
    warnings        TEXT NOT NULL,
    platforms       TEXT NOT NULL,          -- JSON array: where it was routed
    reason          TEXT,
    released_at     BIGINT,
    released_by     TEXT,
    release_reason  TEXT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (record_id, version)
);

CREATE TABLE attachments (
    sha256   TEXT PRIMARY KEY,
    bytes    BIGINT NOT NULL,
    content  BYTEA NOT NULL
);

CREATE TABLE index_serials (
    unit_code  TEXT NOT NULL,
    year       BIGINT NOT NULL,
    last       BIGINT NOT NULL,
    PRIMARY KEY (unit_code, year)
);

-- The queue of record: one row per record and platform.
CREATE TABLE deliveries (
    id               TEXT PRIMARY KEY,
    record_id        TEXT NOT NULL REFERENCES records (id),
    platform         TEXT NOT NULL,
    wanted           TEXT NOT NULL CHECK (wanted IN ('shown', 'gone')),
    version          BIGINT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('held', 'queued', 'sending', 'retrying',
                         'delivered', 'confirmed', 'failed', 'withdrawn', 'skipped')),
    held             BOOLEAN NOT NULL,      -- the record is held: nothing more is sent
    due_at           BIGINT,                -- when a sender may claim it; none: never
    claimed          BIGINT NOT NULL,       -- count of claims: the fencing token
    settled          BIGINT NOT NULL,       -- how many of them are accounted for
    claimed_version  BIGINT,                -- the version of the last claim; progress belongs to it
    lease_owner      TEXT,
    lease_until      BIGINT,
    tries            BIGINT NOT NULL,
    first_tried_at   BIGINT,
    progress         TEXT,
    remote_id        TEXT,
    remote_url       TEXT,
    shown_version    BIGINT,
    delivered_at     BIGINT,
    confirmed_at     BIGINT,
    failure_stage    TEXT,
    failure_class    TEXT,
    failure_code     TEXT,
    failure_text     TEXT,
    failure_group    TEXT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    UNIQUE (record_id, platform)
);
-- A row in sending has due_at = lease_until, so that a crashed sender's work becomes due by itself.
CREATE INDEX deliveries_due ON deliveries (platform, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_state ON deliveries (state, platform);
CREATE INDEX deliveries_failed ON deliveries (failure_group) WHERE state = 'failed';

CREATE TABLE attempts (
    id           TEXT PRIMARY KEY,
    delivery_id  TEXT NOT NULL REFERENCES deliveries (id),
    record_id    TEXT NOT NULL,
    platform     TEXT NOT NULL,
    version      BIGINT NOT NULL,
    operation    TEXT NOT NULL,
    started_at   BIGINT NOT NULL,
    duration_ms  BIGINT NOT NULL,
    verdict      TEXT NOT NULL,
    stage        TEXT NOT NULL,
    code         TEXT NOT NULL,
    message      TEXT NOT NULL,
    exchanges    TEXT NOT NULL
);
CREATE INDEX attempts_delivery ON attempts (delivery_id);

CREATE TABLE platforms (
    id            TEXT PRIMARY KEY,
    paused        BOOLEAN NOT NULL,
    pause_reason  TEXT,
    paused_by     TEXT,
    paused_until  BIGINT,
    changed_at    BIGINT NOT NULL
);

CREATE TABLE replays (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('running', 'cancelled')),
    filter      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    count       BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT
);

CREATE TABLE replay_items (
    replay_id       TEXT NOT NULL REFERENCES replays (id),
    delivery_id     TEXT NOT NULL,
    position        BIGINT NOT NULL,
    claimed_before  BIGINT NOT NULL,
    version_before  BIGINT NOT NULL,
    state_before    TEXT NOT NULL,
    due_before      BIGINT,
    PRIMARY KEY (replay_id, delivery_id)
);

CREATE TABLE acts (
    id      TEXT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    verb    TEXT NOT NULL,
    target  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    detail  TEXT NOT NULL
);
CREATE INDEX acts_at ON acts (at);
