// node-cron, its schedule a monitor of Sentry's SDK.
const {Sentry, work, ended} = require("./sentry");
const cron = Sentry.cron.instrumentNodeCron(require("node-cron"));
const task = cron.schedule("* * * * *", () => work(), {name: "sentry-node-cron", timezone: "Europe/Riga"});
ended(() => task.now());
