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
INSERT INTO "alerts" VALUES(1,1,'violated','rows_processed > 0','critical','rows_processed was 0, expected > 0',2,1.79601064678300499912e+09,NULL);
INSERT INTO "alerts" VALUES(2,1,'violated','duration < 45m','critical','duration was not reported, expected < 2700',2,1.79601064678300499912e+09,NULL);
INSERT INTO "alerts" VALUES(3,1,'violated','rows-halved','critical','rows_processed was 0, expected >= 50 (0.5 * previous)',2,1.79601064678300499912e+09,NULL);
INSERT INTO "alerts" VALUES(4,2,'failing','','warning','3 runs in a row were not ok; the last run ended with timeout',3,1.7960106468457589149e+09,NULL);
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    -- Newest of its runs; the others follow by runs.previous_id.
    last_run    INTEGER,
    state       TEXT NOT NULL,
    -- Keys of the last finished runs, by which a repeat is recognised.
    seen        BLOB NOT NULL
) STRICT;
INSERT INTO "jobs" VALUES(1,'nightly-backup',2,'{"created_at":1796010646.259706,"due_after":1796010646.783005,"configured":true,"schedule":"0 2 * * * Europe/Riga","last_ping_at":1796010646.783005,"last_start_at":1796010646.7555487,"last_finish_at":1796010646.783005,"last_success_at":1796010646.7740805,"last_failure_at":1796010646.783005,"last_judged_at":1796010646.783005,"last_duration":0.01853179931640625,"consecutive_failures":1,"runs_total":2,"violating_total":1,"duration_sum":0.01853179931640625,"duration_count":1,"last_outcome":"violated","metrics":{"rows_processed":0.0,"file_size_bytes":48211.0},"previous":{"rows_processed":100.0,"file_size_bytes":48211.0,"duration":0.01853179931640625},"violated":["rows_processed > 0","duration < 45m","rows-halved"],"alerts":[["violated","rows_processed > 0",1796010646.783005,1796010646.783005,null],["violated","duration < 45m",1796010646.783005,1796010646.783005,null],["violated","rows-halved",1796010646.783005,1796010646.783005,null]]}',X'04E1FEFFCB256FE29569754482CD0314');
INSERT INTO "jobs" VALUES(2,'crm-sync',5,'{"created_at":1796010646.259706,"due_after":1796010646.845759,"configured":true,"schedule":"every 1h","last_ping_at":1796010646.845759,"last_finish_at":1796010646.845759,"last_failure_at":1796010646.845759,"last_judged_at":1796010646.845759,"consecutive_failures":3,"runs_total":3,"failures_total":3,"last_outcome":"timeout","alerts":[["failing","",1796010646.845759,1796010646.845759,null]]}',X'BD20183B4366668A9CADED9CE69879885E560547EA883E58');
INSERT INTO "jobs" VALUES(3,'sales-report',6,'{"created_at":1796010646.259706,"due_after":1796010646.8871415,"configured":true,"schedule":"30 6 * * mon-fri America/New_York","last_ping_at":1796010646.8871415,"last_finish_at":1796010646.8871415,"last_success_at":1796010646.8871415,"last_judged_at":1796010646.8871415,"runs_total":1,"last_outcome":"ok","metrics":{"recipients":7.0},"previous":{"recipients":7.0}}',X'4A47DA1CCDBEEAF9');
INSERT INTO "jobs" VALUES(4,'reindex',NULL,'{"created_at":1796010646.259706,"due_after":1796010646.259706,"configured":true,"last_ping_at":1796010646.928013,"last_start_at":1796010646.928013,"open_runs":[["r1",1,1796010646.928013,{}]]}',X'');
INSERT INTO "jobs" VALUES(5,'unknown',7,'{"created_at":1796010646.9624894,"due_after":1796010646.9624894,"last_ping_at":1796010646.9624894,"last_finish_at":1796010646.9624894,"last_success_at":1796010646.9624894,"last_judged_at":1796010646.9624894,"runs_total":1,"last_outcome":"ok","metrics":{"rows":5.0},"previous":{"rows":5.0},"unnamed":[["750e11e003ef459a",1796010646.9624894,1]]}',X'0000000000000000');
CREATE TABLE logs (
    id        INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL,
    at        REAL NOT NULL,
    run_id    TEXT,
    message   TEXT NOT NULL,
    metadata  TEXT NOT NULL
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
INSERT INTO "runs" VALUES(1,1,NULL,1,'n1',1,NULL,'ok',1.79601064675554871561e+09,1.79601064677408051497e+09,1.79601064677408051497e+09,1.853179931640625e-02,NULL,'{"rows_processed":100.0,"file_size_bytes":48211.0}','[]','','');
INSERT INTO "runs" VALUES(2,1,1,2,'n2',1,NULL,'violated',NULL,1.79601064678300499912e+09,1.79601064678300499912e+09,NULL,NULL,'{"rows_processed":0.0,"file_size_bytes":48211.0}','[["rows_processed > 0","rows_processed",0.0,"> 0"],["duration < 45m","duration",null,"< 2700"],["rows-halved","rows_processed",0.0,">= 50 (0.5 * previous)"]]','','');
INSERT INTO "runs" VALUES(3,2,NULL,1,'c1',1,NULL,'fail',NULL,1.79601064680357480046e+09,1.79601064680357480046e+09,NULL,1,'{}','[]','503 from the CRM','');
INSERT INTO "runs" VALUES(4,2,3,2,'c2',1,NULL,'fail',NULL,1.79601064681776070594e+09,1.79601064681776070594e+09,NULL,1,'{}','[]','503 from the CRM','');
INSERT INTO "runs" VALUES(5,2,4,3,'c3',1,NULL,'timeout',NULL,1.7960106468457589149e+09,1.7960106468457589149e+09,NULL,NULL,'{}','[]','','');
INSERT INTO "runs" VALUES(6,3,NULL,1,'s1',1,NULL,'ok',NULL,1.7960106468871414662e+09,1.7960106468871414662e+09,NULL,NULL,'{"recipients":7.0}','[]','','');
INSERT INTO "runs" VALUES(7,5,NULL,1,NULL,1,NULL,'ok',NULL,1.79601064696248936651e+09,1.79601064696248936651e+09,NULL,NULL,'{"rows":5.0}','[]','','');
CREATE UNIQUE INDEX alerts_open ON alerts (job_id, condition, rule)
    WHERE resolved_at IS NULL;
COMMIT;
PRAGMA user_version = 1;
PRAGMA application_id = 0;
