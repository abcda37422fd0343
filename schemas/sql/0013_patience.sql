-- When platforms did not answer: one row for each time that the breaker of a platform opened. One
-- without an end is open now. What ended is kept for a while, because the age of a delivery does
-- not count it.
CREATE TABLE outages (
    id         TEXT PRIMARY KEY,
    platform   TEXT NOT NULL,
    began_at   BIGINT NOT NULL,
    ended_at   BIGINT,                      -- none: it lasts
    ended_by   TEXT,                        -- the process whose probe was answered, or the operator
    cause      TEXT NOT NULL,               -- what the last failure said
    probes     BIGINT NOT NULL,             -- how many found that it lasts
    probe_at   BIGINT NOT NULL,             -- when the next one may begin, also if its owner vanishes
    probed_by  TEXT                         -- the process that probes now
);
CREATE UNIQUE INDEX outages_open ON outages (platform) WHERE ended_at IS NULL;
CREATE INDEX outages_platform ON outages (platform, began_at);

-- Whether a delivery may go ahead of what waits longer, until it is claimed: what comes from a unit
-- that has not sent many lately, or what a person asked for.
ALTER TABLE deliveries ADD COLUMN ahead BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX deliveries_ahead ON deliveries (platform, due_at) WHERE due_at IS NOT NULL AND ahead;
