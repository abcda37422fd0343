-- When a delivery was last offered to the broker, so that a sweep offers it again only when it
-- became due since then, or when it has waited suspiciously long.
ALTER TABLE deliveries ADD COLUMN offered_at BIGINT;

-- The processes that send, so that they divide the limits of the platforms among themselves.
CREATE TABLE senders (
    id       TEXT PRIMARY KEY,
    beats    BIGINT NOT NULL,               -- counts up while the process lives
    seen_at  BIGINT NOT NULL
);
