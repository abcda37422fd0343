-- A replay is driven step by step: what of its frozen list is made due, and when, is decided by
-- whichever process takes the next step.
ALTER TABLE replays ADD COLUMN phase TEXT NOT NULL DEFAULT 'done'
    CHECK (phase IN ('running', 'paused', 'stopped', 'done', 'cancelled'));
ALTER TABLE replays ADD COLUMN live BOOLEAN NOT NULL DEFAULT FALSE;  -- something has no outcome yet
ALTER TABLE replays ADD COLUMN way TEXT NOT NULL DEFAULT 'current'
    CHECK (way IN ('current', 'identical', 'refill'));
ALTER TABLE replays ADD COLUMN selection_hash TEXT;     -- of what is frozen, as the dry run showed it
ALTER TABLE replays ADD COLUMN platforms TEXT NOT NULL DEFAULT '[]';
ALTER TABLE replays ADD COLUMN rate_per_s BIGINT;       -- none: as fast as the platforms bear
ALTER TABLE replays ADD COLUMN ramp TEXT NOT NULL DEFAULT '[]';
ALTER TABLE replays ADD COLUMN stop_percent BIGINT NOT NULL DEFAULT 100;
ALTER TABLE replays ADD COLUMN stepped_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN paced_at BIGINT NOT NULL DEFAULT 0;   -- the rate is used up to here
ALTER TABLE replays ADD COLUMN started BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN ended_before BIGINT NOT NULL DEFAULT 0;   -- at the last resume
ALTER TABLE replays ADD COLUMN failed_before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN phase_reason TEXT;
ALTER TABLE replays ADD COLUMN phase_by TEXT;
ALTER TABLE replays ADD COLUMN phase_at BIGINT;
ALTER TABLE replays ADD COLUMN result TEXT;             -- JSON: the outcomes at the end
UPDATE replays SET phase = 'cancelled' WHERE state = 'cancelled';
-- Pressed twice, it is the same replay.
CREATE UNIQUE INDEX replays_selection ON replays (selection_hash) WHERE phase <> 'cancelled';
CREATE INDEX replays_live ON replays (id) WHERE live;

ALTER TABLE replay_items ADD COLUMN started_at BIGINT;  -- when it was made due
ALTER TABLE replay_items ADD COLUMN outcome TEXT
    CHECK (outcome IN ('delivered', 'confirmed', 'withdrawn', 'failed', 'skipped', 'cancelled'));
ALTER TABLE replay_items ADD COLUMN outcome_detail TEXT;    -- why skipped; the group it failed in
ALTER TABLE replay_items ADD COLUMN ended_at BIGINT;
-- What a start changes, to be given back when it is never tried.
ALTER TABLE replay_items ADD COLUMN settled_before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replay_items ADD COLUMN tries_before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replay_items ADD COLUMN first_tried_before BIGINT;
ALTER TABLE replay_items ADD COLUMN shown_before BIGINT;
ALTER TABLE replay_items ADD COLUMN remote_id_before TEXT;
ALTER TABLE replay_items ADD COLUMN remote_url_before TEXT;
ALTER TABLE replay_items ADD COLUMN updated_before BIGINT NOT NULL DEFAULT 0;
-- Replays of earlier releases were made due as a whole; nobody drives them.
UPDATE replay_items SET outcome = 'skipped', outcome_detail = 'earlier_release';
-- A delivery is in one replay at a time.
CREATE UNIQUE INDEX replay_items_live ON replay_items (delivery_id) WHERE outcome IS NULL;
CREATE INDEX replay_items_waiting ON replay_items (replay_id, position)
    WHERE started_at IS NULL AND outcome IS NULL;
CREATE INDEX replay_items_open ON replay_items (replay_id, delivery_id)
    WHERE started_at IS NOT NULL AND outcome IS NULL;
