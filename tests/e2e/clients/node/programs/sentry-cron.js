// cron, its schedule a monitor of Sentry's SDK.
const {Sentry, work, ended, RARELY} = require("./sentry");
const CronJob = Sentry.cron.instrumentCron(require("cron").CronJob, "sentry-cron");
const job = CronJob.from({cronTime: RARELY, onTick: () => work(), timeZone: "Europe/Riga"});
ended(() => job.fireOnTick());
