BEGIN TRANSACTION;
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
INSERT INTO "alerts" VALUES(1,1,'violated','rows_processed > 0','critical','rows_processed was 0, expected > 0',2,1.7960113464901571274e+09,NULL);
INSERT INTO "alerts" VALUES(2,1,'violated','duration < 45m','critical','duration was not reported, expected < 45m',2,1.7960113464901571274e+09,NULL);
INSERT INTO "alerts" VALUES(3,1,'violated','rows-halved','critical','rows_processed was 0, expected >= 50 (0.5 * previous)',2,1.7960113464901571274e+09,NULL);
INSERT INTO "alerts" VALUES(4,2,'failing','','warning','3 runs in a row were not ok; the last run ended with timeout',3,1.79601134664994907378e+09,NULL);
CREATE TABLE counted (run INTEGER NOT NULL) STRICT;
INSERT INTO "counted" VALUES(0);
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
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    -- Newest of its runs; the others follow by runs.previous_id.
    last_run    INTEGER,
    state       TEXT NOT NULL,
    -- Keys of the last finished runs, by which a repeat is recognised.
    seen        BLOB NOT NULL
) STRICT;
INSERT INTO "jobs" VALUES(1,'nightly-backup',2,'{"created_at":1796011344.0345836,"due_after":1796011346.4901571,"configured":true,"schedule":"0 2 * * * Europe/Riga","last_ping_at":1796011346.4901571,"last_start_at":1796011346.4314818,"last_finish_at":1796011346.4901571,"last_success_at":1796011346.4620266,"last_failure_at":1796011346.4901571,"last_judged_at":1796011346.4901571,"last_outcome":"violated","last_duration":0.030544757843017578,"consecutive_failures":1,"metrics":{"rows_processed":0.0,"file_size_bytes":48211.0},"previous":{"rows_processed":100.0,"file_size_bytes":48211.0,"duration":0.030544757843017578},"violated":["rows_processed > 0","duration < 45m","rows-halved"],"alerts":[[["violated","rows_processed > 0"],1796011346.4901571,1796011346.4901571,null,false],[["violated","duration < 45m"],1796011346.4901571,1796011346.4901571,null,false],[["violated","rows-halved"],1796011346.4901571,1796011346.4901571,null,false]],"runs_total":2,"violating_total":1,"duration_sum":0.030544757843017578,"duration_count":1,"bad_run":["n2","violated",null,"",""]}',X'04E1FEFFCB256FE29569754482CD0314');
INSERT INTO "jobs" VALUES(2,'crm-sync',5,'{"created_at":1796011344.0345836,"due_after":1796011346.649949,"configured":true,"schedule":"every 1h","last_ping_at":1796011346.649949,"last_finish_at":1796011346.649949,"last_failure_at":1796011346.649949,"last_judged_at":1796011346.649949,"last_outcome":"timeout","consecutive_failures":3,"timed_out":true,"failing":true,"metrics":{},"alerts":[[["failing",""],1796011346.649949,1796011346.649949,null,true]],"runs_total":3,"failures_total":3,"duration_sum":0.0,"bad_run":["c3","timeout",null,"",""],"other_totals":[0,1,0,0,0]}',X'BD20183B4366668A9CADED9CE69879885E560547EA883E58');
INSERT INTO "jobs" VALUES(3,'sales-report',6,'{"created_at":1796011344.0345836,"due_after":1796011346.8101425,"configured":true,"missed_through":0.0,"unobserved_through":0.0,"last_ping_at":1796011346.666066,"last_finish_at":1796011346.666066,"last_success_at":1796011346.666066,"last_judged_at":1796011346.666066,"last_outcome":"ok","metrics":{"recipients":7.0},"previous":{"recipients":7.0},"paused_at":1796011346.8101425,"paused_for":0.0,"watched_since":null,"runs_total":1,"duration_sum":0.0}',X'4A47DA1CCDBEEAF9');
INSERT INTO "jobs" VALUES(4,'reindex',NULL,'{"created_at":1796011344.0345836,"due_after":1796011344.0345836,"configured":true,"last_ping_at":1796011346.694181,"last_start_at":1796011346.694181,"open_runs":[["r1",1,1796011346.694181,{},"",0.0,"",null,0.0,0.0,0.0,0,false]]}',X'');
INSERT INTO "jobs" VALUES(5,'import-orders',NULL,'{"created_at":1796011344.0345836,"due_after":1796011344.0345836,"configured":true,"schedule":"*/10 * * * * Europe/Riga except 2026-12-24"}',X'');
INSERT INTO "jobs" VALUES(6,'pushed',8,'{"created_at":1796011344.0345836,"due_after":1796011346.7623303,"configured":true,"schedule":"every 1d","last_ping_at":1796011346.7623303,"last_finish_at":1796011346.7623303,"last_success_at":1796011346.7623303,"last_judged_at":1796011346.7623303,"last_outcome":"ok","metrics":{"rows_written":5.0},"previous":{"rows_written":5.0},"unnamed_seen":"Np3OuXZ5cHMFyrBUPcPaQQEAAAAAAAAA","runs_total":1,"duration_sum":0.0,"marks":{}}',X'0000000000000000');
INSERT INTO "jobs" VALUES(7,'unknown',7,'{"created_at":1796011346.711788,"due_after":1796011346.711788,"last_ping_at":1796011346.711788,"last_finish_at":1796011346.711788,"last_success_at":1796011346.711788,"last_judged_at":1796011346.711788,"last_outcome":"ok","metrics":{"rows":5.0},"previous":{"rows":5.0},"unnamed_seen":"dQ4R4APvRZrvja1UPcPaQQEAAAAAAAAA","runs_total":1,"duration_sum":0.0}',X'0000000000000000');
CREATE TABLE logs (
    id        INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL,
    at        REAL NOT NULL,
    run_id    TEXT,
    message   TEXT NOT NULL,
    metadata  TEXT NOT NULL
) STRICT;
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
CREATE TABLE pushed (
    id        INTEGER PRIMARY KEY,
    -- A JSON object, sorted by name: the grouping labels.
    labels    TEXT NOT NULL UNIQUE,
    job       TEXT NOT NULL,
    -- A JSON object: of each family its type, its help text and its series, which
    -- are an object of series and value as both are written.
    families  TEXT NOT NULL
) STRICT;
INSERT INTO "pushed" VALUES(1,'{"job": "pushed"}','pushed','{"rows_written": ["untyped", "", {"rows_written{instance=\"\",job=\"pushed\"}": "5"}], "push_time_seconds": ["gauge", "Last Unix time when changing this group succeeded.", {"push_time_seconds{instance=\"\",job=\"pushed\"}": "1796011346.7628286"}], "push_failure_time_seconds": ["gauge", "Last Unix time when changing this group failed.", {"push_failure_time_seconds{instance=\"\",job=\"pushed\"}": "0"}]}');
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
, on_success INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE run_keys (
    job_id       INTEGER NOT NULL,
    -- The runs with the numbers up to 32 * chunk, from 32 * (chunk - 1) + 1 on.
    chunk        INTEGER NOT NULL,
    keys         BLOB NOT NULL,
    -- When the last of them arrived.
    received_at  REAL NOT NULL,
    PRIMARY KEY (job_id, chunk)
) STRICT, WITHOUT ROWID;
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
, config_commit TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "runs" VALUES(1,1,NULL,1,'n1',1,NULL,'ok',1.79601134643148183829e+09,1.79601134646202659607e+09,1.79601134646202659607e+09,3.0544757843017578125e-02,NULL,'{"rows_processed":100.0,"file_size_bytes":48211.0}','[]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(2,1,1,2,'n2',1,NULL,'violated',NULL,1.7960113464901571274e+09,1.7960113464901571274e+09,NULL,NULL,'{"rows_processed":0.0,"file_size_bytes":48211.0}','[["rows_processed > 0","rows_processed",0.0,"> 0",null,""],["duration < 45m","duration",null,"< 45m",null,""],["rows-halved","rows_processed",0.0,">= 50 (0.5 * previous)",null,""]]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(3,2,NULL,1,'c1',1,NULL,'fail',NULL,1.79601134652605843545e+09,1.79601134652605843545e+09,NULL,1,'{}','[]','503 from the CRM','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(4,2,3,2,'c2',1,NULL,'fail',NULL,1.79601134661648750303e+09,1.79601134661648750303e+09,NULL,1,'{}','[]','503 from the CRM','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(5,2,4,3,'c3',1,NULL,'timeout',NULL,1.79601134664994907378e+09,1.79601134664994907378e+09,NULL,NULL,'{}','[]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(6,3,NULL,1,'s1',1,NULL,'ok',NULL,1.79601134666606593133e+09,1.79601134666606593133e+09,NULL,NULL,'{"recipients":7.0}','[]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(7,7,NULL,1,NULL,1,NULL,'ok',NULL,1.7960113467117879391e+09,1.7960113467117879391e+09,NULL,NULL,'{"rows":5.0}','[]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
INSERT INTO "runs" VALUES(8,6,NULL,1,NULL,1,3,'ok',NULL,1.79601134676233029369e+09,1.79601134676233029369e+09,NULL,NULL,'{"rows_written":5.0}','[]','','','51220cf20288796291cb92b5d6ec88fbeb4677b1-dirty');
CREATE UNIQUE INDEX alerts_open ON alerts (job_id, condition, rule)
    WHERE resolved_at IS NULL;
CREATE INDEX alerts_opened ON alerts (opened_at);
CREATE INDEX alerts_of_job ON alerts (job_id, opened_at);
DELETE FROM "sqlite_sequence";
COMMIT;
PRAGMA user_version = 8;
PRAGMA application_id = 0;
