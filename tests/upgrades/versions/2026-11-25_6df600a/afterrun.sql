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
INSERT INTO "alerts" VALUES(1,1,'violated','rows_processed > 0','critical','rows_processed was 0, expected > 0',2,1.79601065831386470794e+09,NULL);
INSERT INTO "alerts" VALUES(2,1,'violated','duration < 45m','critical','duration was not reported, expected < 2700',2,1.79601065831386470794e+09,NULL);
INSERT INTO "alerts" VALUES(3,1,'violated','rows-halved','critical','rows_processed was 0, expected >= 50 (0.5 * previous)',2,1.79601065831386470794e+09,NULL);
INSERT INTO "alerts" VALUES(4,2,'failing','','warning','3 runs in a row were not ok; the last run ended with timeout',3,1.79601065837089157099e+09,NULL);
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    -- Newest of its runs; the others follow by runs.previous_id.
    last_run    INTEGER,
    state       TEXT NOT NULL,
    -- Keys of the last finished runs, by which a repeat is recognised.
    seen        BLOB NOT NULL
) STRICT;
INSERT INTO "jobs" VALUES(1,'nightly-backup',2,'{"created_at":1796010657.0465696,"due_after":1796010658.3138647,"configured":true,"schedule":"0 2 * * * Europe/Riga","last_ping_at":1796010658.3138647,"last_start_at":1796010658.2719169,"last_finish_at":1796010658.3138647,"last_success_at":1796010658.294719,"last_failure_at":1796010658.3138647,"last_judged_at":1796010658.3138647,"last_outcome":"violated","last_duration":0.022802114486694336,"consecutive_failures":1,"metrics":{"rows_processed":0.0,"file_size_bytes":48211.0},"previous":{"rows_processed":100.0,"file_size_bytes":48211.0,"duration":0.022802114486694336},"violated":["rows_processed > 0","duration < 45m","rows-halved"],"alerts":[[["violated","rows_processed > 0"],1796010658.3138647,1796010658.3138647,null],[["violated","duration < 45m"],1796010658.3138647,1796010658.3138647,null],[["violated","rows-halved"],1796010658.3138647,1796010658.3138647,null]],"runs_total":2,"violating_total":1,"duration_sum":0.022802114486694336,"duration_count":1}',X'04E1FEFFCB256FE29569754482CD0314');
INSERT INTO "jobs" VALUES(2,'crm-sync',5,'{"created_at":1796010657.0465696,"due_after":1796010658.3708916,"configured":true,"schedule":"every 1h","last_ping_at":1796010658.3708916,"last_finish_at":1796010658.3708916,"last_failure_at":1796010658.3708916,"last_judged_at":1796010658.3708916,"last_outcome":"timeout","consecutive_failures":3,"metrics":{},"alerts":[[["failing",""],1796010658.3708916,1796010658.3708916,null]],"runs_total":3,"failures_total":3,"duration_sum":0.0}',X'BD20183B4366668A9CADED9CE69879885E560547EA883E58');
INSERT INTO "jobs" VALUES(3,'sales-report',6,'{"created_at":1796010657.0465696,"due_after":1796010658.4820125,"configured":true,"missed_through":0.0,"last_ping_at":1796010658.3817816,"last_finish_at":1796010658.3817816,"last_success_at":1796010658.3817816,"last_judged_at":1796010658.3817816,"last_outcome":"ok","metrics":{"recipients":7.0},"previous":{"recipients":7.0},"paused_at":1796010658.4820125,"runs_total":1,"duration_sum":0.0}',X'4A47DA1CCDBEEAF9');
INSERT INTO "jobs" VALUES(4,'reindex',NULL,'{"created_at":1796010657.0465696,"due_after":1796010657.0465696,"configured":true,"last_ping_at":1796010658.406471,"last_start_at":1796010658.406471,"open_runs":[["r1",1,1796010658.406471,{},"",0.0]]}',X'');
INSERT INTO "jobs" VALUES(5,'import-orders',NULL,'{"created_at":1796010657.0465696,"due_after":1796010657.0465696,"configured":true,"schedule":"*/10 * * * * Europe/Riga"}',X'');
INSERT INTO "jobs" VALUES(6,'pushed',8,'{"created_at":1796010657.0465696,"due_after":1796010658.443404,"configured":true,"schedule":"every 1d","last_ping_at":1796010658.443404,"last_finish_at":1796010658.443404,"last_success_at":1796010658.443404,"last_judged_at":1796010658.443404,"last_outcome":"ok","metrics":{"rows_written":5.0},"previous":{"rows_written":5.0},"unnamed":[["Np3OuXZ5cHM=",1796010658.443404,1]],"runs_total":1,"duration_sum":0.0}',X'0000000000000000');
INSERT INTO "jobs" VALUES(7,'unknown',7,'{"created_at":1796010658.4269922,"due_after":1796010658.4269922,"last_ping_at":1796010658.4269922,"last_finish_at":1796010658.4269922,"last_success_at":1796010658.4269922,"last_judged_at":1796010658.4269922,"last_outcome":"ok","metrics":{"rows":5.0},"previous":{"rows":5.0},"unnamed":[["dQ4R4APvRZo=",1796010658.4269922,1]],"runs_total":1,"duration_sum":0.0}',X'0000000000000000');
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
INSERT INTO "pushed" VALUES(1,'{"job": "pushed"}','pushed','{"rows_written": ["untyped", "", {"rows_written{instance=\"\",job=\"pushed\"}": "5"}], "push_time_seconds": ["gauge", "Last Unix time when changing this group succeeded.", {"push_time_seconds{instance=\"\",job=\"pushed\"}": "1796010658.4436922"}], "push_failure_time_seconds": ["gauge", "Last Unix time when changing this group failed.", {"push_failure_time_seconds{instance=\"\",job=\"pushed\"}": "0"}]}');
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
INSERT INTO "runs" VALUES(1,1,NULL,1,'n1',1,NULL,'ok',1.79601065827191686626e+09,1.79601065829471898084e+09,1.79601065829471898084e+09,2.28021144866943359375e-02,NULL,'{"rows_processed":100.0,"file_size_bytes":48211.0}','[]','','');
INSERT INTO "runs" VALUES(2,1,1,2,'n2',1,NULL,'violated',NULL,1.79601065831386470794e+09,1.79601065831386470794e+09,NULL,NULL,'{"rows_processed":0.0,"file_size_bytes":48211.0}','[["rows_processed > 0","rows_processed",0.0,"> 0"],["duration < 45m","duration",null,"< 2700"],["rows-halved","rows_processed",0.0,">= 50 (0.5 * previous)"]]','','');
INSERT INTO "runs" VALUES(3,2,NULL,1,'c1',1,NULL,'fail',NULL,1.79601065833575224877e+09,1.79601065833575224877e+09,NULL,1,'{}','[]','503 from the CRM','');
INSERT INTO "runs" VALUES(4,2,3,2,'c2',1,NULL,'fail',NULL,1.79601065835287690159e+09,1.79601065835287690159e+09,NULL,1,'{}','[]','503 from the CRM','');
INSERT INTO "runs" VALUES(5,2,4,3,'c3',1,NULL,'timeout',NULL,1.79601065837089157099e+09,1.79601065837089157099e+09,NULL,NULL,'{}','[]','','');
INSERT INTO "runs" VALUES(6,3,NULL,1,'s1',1,NULL,'ok',NULL,1.79601065838178157807e+09,1.79601065838178157807e+09,NULL,NULL,'{"recipients":7.0}','[]','','');
INSERT INTO "runs" VALUES(7,7,NULL,1,NULL,1,NULL,'ok',NULL,1.79601065842699217801e+09,1.79601065842699217801e+09,NULL,NULL,'{"rows":5.0}','[]','','');
INSERT INTO "runs" VALUES(8,6,NULL,1,NULL,1,NULL,'ok',NULL,1.79601065844340395923e+09,1.79601065844340395923e+09,NULL,NULL,'{"rows_written":5.0}','[]','','');
CREATE UNIQUE INDEX alerts_open ON alerts (job_id, condition, rule)
    WHERE resolved_at IS NULL;
CREATE INDEX alerts_opened ON alerts (opened_at);
CREATE INDEX alerts_of_job ON alerts (job_id, opened_at);
DELETE FROM "sqlite_sequence";
COMMIT;
PRAGMA user_version = 3;
PRAGMA application_id = 0;
