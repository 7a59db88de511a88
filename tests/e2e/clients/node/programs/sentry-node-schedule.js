// node-schedule, its schedule a monitor of Sentry's SDK.
const {Sentry, work, ended} = require("./sentry");
const schedule = Sentry.cron.instrumentNodeSchedule(require("node-schedule"));
const job = schedule.scheduleJob("sentry-node-schedule", "0 * * * *", () => work());
ended(() => job.invoke());
