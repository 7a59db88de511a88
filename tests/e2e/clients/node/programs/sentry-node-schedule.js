// node-schedule, its schedule a monitor of Sentry's SDK.
const {Sentry, work, ended, RARELY} = require("./sentry");
const schedule = Sentry.cron.instrumentNodeSchedule(require("node-schedule"));
const job = schedule.scheduleJob("sentry-node-schedule", RARELY, () => work());
ended(() => job.invoke());
