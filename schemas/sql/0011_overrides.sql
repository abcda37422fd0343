-- One field of a record, for one platform, in one version, in other words than the unit's.
CREATE TABLE overrides (
    delivery_id  TEXT NOT NULL REFERENCES deliveries (id),
    pointer      TEXT NOT NULL,             -- JSON pointer into the record
    version      BIGINT NOT NULL,
    value        TEXT NOT NULL,             -- JSON
    reason       TEXT NOT NULL,
    actor        TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, pointer)
);
ALTER TABLE deliveries ADD COLUMN overridden BOOLEAN NOT NULL DEFAULT FALSE;  -- ever
