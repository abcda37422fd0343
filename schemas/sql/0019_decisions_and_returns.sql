-- What a person decided about one delivery is told to others as well, with the word that it was a
-- person, and why something is not sent.
ALTER TABLE events ADD COLUMN by_hand BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE events ADD COLUMN reason TEXT;
-- What was withdrawn and is shown again is found, too. A check cannot be widened on both engines,
-- so the table is written anew.
ALTER TABLE verifications ADD COLUMN returned BIGINT NOT NULL DEFAULT 0;
CREATE TABLE verification_findings (
    verification_id  TEXT NOT NULL REFERENCES verifications (id),
    delivery_id      TEXT NOT NULL,
    record_id        TEXT NOT NULL,
    version          BIGINT NOT NULL,
    verdict          TEXT NOT NULL CHECK (verdict IN ('under_review', 'missing', 'stale',
                         'altered', 'unanswered', 'returned')),
    detail           TEXT NOT NULL,
    repaired         BOOLEAN NOT NULL,
    at               BIGINT NOT NULL,
    PRIMARY KEY (verification_id, delivery_id)
);
INSERT INTO verification_findings (verification_id, delivery_id, record_id, version, verdict,
    detail, repaired, at)
    SELECT verification_id, delivery_id, record_id, version, verdict, detail, repaired, at
    FROM verification_items;
DROP TABLE verification_items;
