-- What Alertmanagers are still to be told, or to be told again: one row for each
-- label set that is firing, or whose end one of them has not taken yet.
CREATE TABLE outbox (
    -- A JSON object, sorted by name: what Alertmanager knows the alert by.
    labels       TEXT PRIMARY KEY,
    job          TEXT NOT NULL,
    condition    TEXT NOT NULL,
    rule         TEXT NOT NULL,
    summary      TEXT NOT NULL,
    opened_at    REAL NOT NULL,
    resolved_at  REAL,
    -- Until when a gauge shows it; it means nothing before it is resolved.
    shown_until  REAL NOT NULL,
    -- A JSON object: what each Alertmanager has taken.
    told         TEXT NOT NULL DEFAULT '{}'
) STRICT, WITHOUT ROWID;

-- Who is told of one job, as added over the API.
CREATE TABLE receivers (
    -- Never used twice: a stale DELETE must not hit another one.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job           TEXT NOT NULL,
    type          TEXT NOT NULL,
    target        TEXT NOT NULL,
    on_failure    INTEGER NOT NULL,
    on_timeout    INTEGER NOT NULL,
    on_violation  INTEGER NOT NULL,
    on_missed     INTEGER NOT NULL,
    created_at    REAL NOT NULL
) STRICT;

-- The history is asked for by time, of all jobs or of one.
CREATE INDEX alerts_opened ON alerts (opened_at);
CREATE INDEX alerts_of_job ON alerts (job_id, opened_at);
