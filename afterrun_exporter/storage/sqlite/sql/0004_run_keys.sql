-- Keys by which repeats of older finished runs are recognised. The keys of the last
-- runs of a job are in jobs.seen: most reports change a row there, and one in 32 adds
-- one here.
CREATE TABLE run_keys (
    job_id       INTEGER NOT NULL,
    -- The runs with the numbers up to 32 * chunk, from 32 * (chunk - 1) + 1 on.
    chunk        INTEGER NOT NULL,
    keys         BLOB NOT NULL,
    -- When the last of them arrived.
    received_at  REAL NOT NULL,
    PRIMARY KEY (job_id, chunk)
) STRICT, WITHOUT ROWID;
