-- Figures of each job by UTC day (core/daily_figures.py), for reports. They are kept
-- longer than runs, and read much faster.
CREATE TABLE days (
    -- 0 for all jobs together, without durations.
    job_id     INTEGER NOT NULL,
    -- Days since 1970.
    day        INTEGER NOT NULL,
    ok         INTEGER NOT NULL,
    fail       INTEGER NOT NULL,
    violated   INTEGER NOT NULL,
    partial    INTEGER NOT NULL,
    timeout    INTEGER NOT NULL,
    canceled   INTEGER NOT NULL,
    skipped    INTEGER NOT NULL,
    invalid    INTEGER NOT NULL,
    missed     INTEGER NOT NULL,
    late       INTEGER NOT NULL,
    durations  TEXT NOT NULL,
    weight     INTEGER NOT NULL,
    PRIMARY KEY (job_id, day)
) STRICT, WITHOUT ROWID;

-- The id of the last run that is counted in them.
CREATE TABLE counted (run INTEGER NOT NULL) STRICT;
INSERT INTO counted VALUES (0);
