-- What is known of each job. `state` is a JSON object of facts (storage/codec.py).
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    -- Newest of its runs; the others follow by runs.previous_id.
    last_run    INTEGER,
    state       TEXT NOT NULL,
    -- Keys of the last finished runs, by which a repeat is recognised.
    seen        BLOB NOT NULL
) STRICT;

-- Finished runs in order of arrival. No index: it would make each insert several
-- times dearer. The runs of a job are a chain.
CREATE TABLE runs (
    id           INTEGER PRIMARY KEY,
    job_id       INTEGER NOT NULL,
    previous_id  INTEGER,
    number       INTEGER NOT NULL,
    run_id       TEXT,
    attempt      INTEGER NOT NULL,
    max_attempts INTEGER,
    outcome      TEXT NOT NULL,
    started_at   REAL,
    finished_at  REAL NOT NULL,
    received_at  REAL NOT NULL,
    duration     REAL,
    exit_code    INTEGER,
    metrics      TEXT NOT NULL,
    violations   TEXT NOT NULL,
    message      TEXT NOT NULL,
    metadata     TEXT NOT NULL
) STRICT;

CREATE TABLE alerts (
    id           INTEGER PRIMARY KEY,
    job_id       INTEGER NOT NULL,
    condition    TEXT NOT NULL,
    rule         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    summary      TEXT NOT NULL,
    run          INTEGER NOT NULL,
    opened_at    REAL NOT NULL,
    resolved_at  REAL
) STRICT;

-- One condition is one alert.
CREATE UNIQUE INDEX alerts_open ON alerts (job_id, condition, rule)
    WHERE resolved_at IS NULL;

CREATE TABLE logs (
    id        INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL,
    at        REAL NOT NULL,
    run_id    TEXT,
    message   TEXT NOT NULL,
    metadata  TEXT NOT NULL
) STRICT;
