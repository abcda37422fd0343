-- What a person has decided about one delivery, and what it was before. Every decision is also an act.
CREATE TABLE hand_marks (
    delivery_id         TEXT PRIMARY KEY REFERENCES deliveries (id),
    verb                TEXT NOT NULL CHECK (verb IN ('done', 'given_up')),
    version             BIGINT NOT NULL,    -- it holds for this version only
    claimed             BIGINT NOT NULL,
    evidence            TEXT NOT NULL,      -- what proves it, or the reason
    actor               TEXT NOT NULL,
    at                  BIGINT NOT NULL,
    state_before        TEXT NOT NULL,
    settled_before      BIGINT NOT NULL,
    shown_before        BIGINT,
    remote_id_before    TEXT,
    remote_url_before   TEXT,
    delivered_before    BIGINT,
    updated_before      BIGINT NOT NULL
);
