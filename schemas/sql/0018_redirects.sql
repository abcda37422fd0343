-- A platform that moved to a new address: its connector has a new version, and what was begun
-- under the one before ends there, as a platform of its own called NAME@VERSION.
ALTER TABLE platforms ADD COLUMN version BIGINT;        -- of the connector since the last redirect
ALTER TABLE platforms ADD COLUMN retired_at BIGINT;     -- nothing is sent to this version any more
-- What each process that sends has loaded, as JSON: platform → version of its connector.
ALTER TABLE senders ADD COLUMN connectors TEXT NOT NULL DEFAULT '{}';
-- A replay that opens its deliveries anew on the version that the platform has now.
ALTER TABLE replays ADD COLUMN moves BOOLEAN NOT NULL DEFAULT FALSE;
