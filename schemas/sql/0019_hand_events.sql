-- What a person decided about one delivery is told to others as well, with the word that it was a
-- person, and why something is not sent.
ALTER TABLE events ADD COLUMN by_hand BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE events ADD COLUMN reason TEXT;
