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
INSERT INTO "alerts" VALUES(1,2,'failing','','warning','the last run ended with fail: disk full',1,1.79594306396976470942e+09,NULL);
INSERT INTO "alerts" VALUES(2,3,'violated','rows > 0','warning','rows was 0, expected > 0',1,1.79594306397774839401e+09,NULL);
INSERT INTO "alerts" VALUES(3,5,'violated','rows > 0','warning','rows was 0, expected > 0',1,1.79594306397932958595e+09,1.79594306398070716859e+09);
INSERT INTO "alerts" VALUES(4,7,'overrunning','','warning','a run should have finished by 2026-11-29T09:04:24Z',0,1.79594306498352336877e+09,NULL);
INSERT INTO "alerts" VALUES(5,4,'missed','','warning','no run finished by 2026-11-29T09:04:26Z',0,1.79594306689414048199e+09,NULL);
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    -- Newest of its runs; the others follow by runs.previous_id.
    last_run    INTEGER,
    state       TEXT NOT NULL,
    -- Keys of the last finished runs, by which a repeat is recognised.
    seen        BLOB NOT NULL
) STRICT;
INSERT INTO "jobs" VALUES(1,'fine',2,'{"created_at":1795943063.8941405,"due_after":1795943063.9661465,"configured":true,"schedule":"every 1h","last_ping_at":1795943063.9661465,"last_finish_at":1795943063.9661465,"last_success_at":1795943063.9661465,"last_judged_at":1795943063.9661465,"last_duration":2.5,"runs_total":2,"duration_sum":2.5,"duration_count":1,"last_outcome":"ok","metrics":{"rows":7.0},"previous":{"rows":7.0},"unnamed":[["685646c219597b6c",1795943063.9661465,2]]}',X'2FB5FDF1DE2C16E80000000000000000');
INSERT INTO "jobs" VALUES(2,'failing',4,'{"created_at":1795943063.8941405,"due_after":1795943063.9738123,"configured":true,"schedule":"every 1h","last_ping_at":1795943063.9738123,"last_finish_at":1795943063.9738123,"last_failure_at":1795943063.9738123,"last_judged_at":1795943063.9738123,"consecutive_failures":2,"runs_total":2,"failures_total":2,"last_outcome":"fail","alerts":[["failing","",1795943063.9697647,1795943063.9697647,null]]}',X'6D4A40360B0C46D505FBDC7FC7076E28');
INSERT INTO "jobs" VALUES(3,'violated',5,'{"created_at":1795943063.8941405,"due_after":1795943063.9777484,"configured":true,"last_ping_at":1795943063.9777484,"last_finish_at":1795943063.9777484,"last_failure_at":1795943063.9777484,"last_judged_at":1795943063.9777484,"consecutive_failures":1,"runs_total":1,"violating_total":1,"last_outcome":"violated","metrics":{"rows":0.0},"violated":["rows > 0"],"alerts":[["violated","rows > 0",1795943063.9777484,1795943063.9777484,null]]}',X'3B3F8F3ACE2FDCFF');
INSERT INTO "jobs" VALUES(4,'missed',NULL,'{"created_at":1795943063.8941405,"due_after":1795943063.8941405,"configured":true,"schedule":"every 2s","missed_through":1795943067.8941405,"missed_deadline":1795943066.8941405,"missed_total":2,"alerts":[["missed","",1795943066.8941405,1795943066.8941405,1795943066.8941405]]}',X'');
INSERT INTO "jobs" VALUES(5,'healed',7,'{"created_at":1795943063.8941405,"due_after":1795943063.9807072,"configured":true,"last_ping_at":1795943063.9807072,"last_finish_at":1795943063.9807072,"last_success_at":1795943063.9807072,"last_failure_at":1795943063.9793296,"last_judged_at":1795943063.9807072,"runs_total":2,"violating_total":1,"last_outcome":"ok","metrics":{"rows":3.0},"previous":{"rows":3.0},"healed":[["violated","rows > 0",1795943663.9793296,null]]}',X'9DFF94411690F8D5D97780CBC42FF28A');
INSERT INTO "jobs" VALUES(6,'running',NULL,'{"created_at":1795943063.8941405,"due_after":1795943063.8941405,"configured":true,"last_ping_at":1795943063.9822752,"last_start_at":1795943063.9822752,"open_runs":[["r1",1,1795943063.9822752,{},""]]}',X'');
INSERT INTO "jobs" VALUES(7,'overrunning',NULL,'{"created_at":1795943063.8941405,"due_after":1795943063.8941405,"configured":true,"last_ping_at":1795943063.9835234,"last_start_at":1795943063.9835234,"open_runs":[["o1",1,1795943063.9835234,{},""]],"alerts":[["overrunning","",1795943064.9835234,1795943064.9835234,1795943064.9835234]]}',X'');
INSERT INTO "jobs" VALUES(8,'unknown',8,'{"created_at":1795943063.9846475,"due_after":1795943063.9846475,"last_ping_at":1795943063.9846475,"last_finish_at":1795943063.9846475,"last_success_at":1795943063.9846475,"last_judged_at":1795943063.9846475,"runs_total":1,"last_outcome":"ok","metrics":{"rows":3.0},"previous":{"rows":3.0}}',X'D03C1BD66441F018');
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
INSERT INTO "runs" VALUES(1,1,NULL,1,'f1',1,NULL,'ok',1.79594306146362471575e+09,1.79594306396362471582e+09,1.79594306396362471582e+09,2.5,NULL,'{"rows":5.0}','[]','','');
INSERT INTO "runs" VALUES(2,1,1,2,NULL,1,NULL,'ok',NULL,1.79594306396614646916e+09,1.79594306396614646916e+09,NULL,NULL,'{"rows":7.0}','[]','','');
INSERT INTO "runs" VALUES(3,2,NULL,1,'x1',1,NULL,'fail',NULL,1.79594306396976470942e+09,1.79594306396976470942e+09,NULL,NULL,'{}','[]','disk full','');
INSERT INTO "runs" VALUES(4,2,3,2,'x2',1,NULL,'fail',NULL,1.79594306397381234165e+09,1.79594306397381234165e+09,NULL,NULL,'{}','[]','','');
INSERT INTO "runs" VALUES(5,3,NULL,1,'v1',1,NULL,'violated',NULL,1.79594306397774839401e+09,1.79594306397774839401e+09,NULL,NULL,'{"rows":0.0}','[["rows > 0","rows",0.0,"> 0"]]','','');
INSERT INTO "runs" VALUES(6,5,NULL,1,'h1',1,NULL,'violated',NULL,1.79594306397932958595e+09,1.79594306397932958595e+09,NULL,NULL,'{"rows":0.0}','[["rows > 0","rows",0.0,"> 0"]]','','');
INSERT INTO "runs" VALUES(7,5,6,2,'h2',1,NULL,'ok',NULL,1.79594306398070716859e+09,1.79594306398070716859e+09,NULL,NULL,'{"rows":3.0}','[]','','');
INSERT INTO "runs" VALUES(8,8,NULL,1,'u1',1,NULL,'ok',NULL,1.79594306398464751244e+09,1.79594306398464751244e+09,NULL,NULL,'{"rows":3.0}','[]','','{"host": "a"}');
CREATE UNIQUE INDEX alerts_open ON alerts (job_id, condition, rule)
    WHERE resolved_at IS NULL;
CREATE INDEX alerts_opened ON alerts (opened_at);
CREATE INDEX alerts_of_job ON alerts (job_id, opened_at);
DELETE FROM "sqlite_sequence";
COMMIT;
PRAGMA user_version = 2;
