-- The outbox of what others are told. A row is written with the change it tells of; the one
-- publisher numbers it, sends it, and forgets it a while later.
CREATE TABLE events (
    id             TEXT PRIMARY KEY,
    kind           TEXT NOT NULL CHECK (kind IN ('published', 'updated', 'withdrawn', 'held',
                       'delivered', 'confirmed', 'failed')),
    at             BIGINT NOT NULL,
    record_id      TEXT NOT NULL,
    version        BIGINT NOT NULL,
    revision       BIGINT NOT NULL,
    source         TEXT NOT NULL,
    source_id      TEXT NOT NULL,
    unit_code      TEXT NOT NULL,
    area           TEXT,
    column_name    TEXT,
    title          TEXT,                    -- none when the version has not passed the gate
    doc_no         TEXT,                    -- as title
    holds          TEXT NOT NULL,           -- JSON array of hold codes
    delivery_id    TEXT,
    platform       TEXT,
    wanted         TEXT,
    url            TEXT,
    failure_class  TEXT,
    failure_code   TEXT,
    sequence       BIGINT                   -- none until the publisher has taken it
);
CREATE UNIQUE INDEX events_sequence ON events (sequence) WHERE sequence IS NOT NULL;
CREATE INDEX events_waiting ON events (id) WHERE sequence IS NULL;

-- One row: who publishes, the last number given, and the last one the broker has confirmed.
CREATE TABLE event_publisher (
    id           BIGINT PRIMARY KEY CHECK (id = 1),
    lease_owner  TEXT,
    lease_until  BIGINT NOT NULL,
    sequence     BIGINT NOT NULL,
    sent         BIGINT NOT NULL
);
INSERT INTO event_publisher (id, lease_owner, lease_until, sequence, sent) VALUES (1, NULL, 0, 0, 0);
