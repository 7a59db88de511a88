// node-cron, its schedule a monitor of Sentry's SDK.
const {Sentry, work, ended, RARELY} = require("./sentry");
const cron = Sentry.cron.instrumentNodeCron(require("node-cron"));
const task = cron.schedule(RARELY, () => work(), {name: "sentry-node-cron", timezone: "Europe/Riga"});
ended(() => task.now());
