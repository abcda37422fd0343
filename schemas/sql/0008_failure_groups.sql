-- What is known of each cause of failures beyond those that are open now.
CREATE TABLE failure_groups (
    name      TEXT PRIMARY KEY,
    first_at  BIGINT NOT NULL,
    last_at   BIGINT NOT NULL,
    total     BIGINT NOT NULL              -- how many deliveries failed so, each time counted
);
INSERT INTO failure_groups (name, first_at, last_at, total)
    SELECT failure_group, MIN(updated_at), MAX(updated_at), COUNT(*) FROM deliveries
    WHERE state = 'failed' AND failure_group IS NOT NULL GROUP BY failure_group;
