-- How a platform is paused, and how fast it goes on afterwards.
ALTER TABLE platforms ADD COLUMN mode TEXT NOT NULL DEFAULT 'hold'
    CHECK (mode IN ('hold', 'drain', 'stop'));
ALTER TABLE platforms ADD COLUMN rate_per_s BIGINT;     -- none: as the connector says
