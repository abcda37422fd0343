-- Why nothing was sent: the platform did not answer, or it said "too many requests". The age of a
-- delivery counts the second, in which the platform is to blame and nobody else.
ALTER TABLE outages ADD COLUMN kind TEXT NOT NULL DEFAULT 'out'
    CHECK (kind IN ('out', 'too_many'));

-- When operators paused platforms. The age of a delivery does not count it; what ended is kept for
-- a while for that reason.
CREATE TABLE pauses (
    id        TEXT PRIMARY KEY,
    platform  TEXT NOT NULL,
    began_at  BIGINT NOT NULL,
    ended_at  BIGINT                       -- also one to come; none: until somebody resumes
);
CREATE INDEX pauses_platform ON pauses (platform, began_at);
INSERT INTO pauses (id, platform, began_at, ended_at)
    SELECT id, id, changed_at, paused_until FROM platforms WHERE paused;
