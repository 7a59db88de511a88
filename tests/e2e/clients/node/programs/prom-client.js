// prom-client pushes to a gateway: last success if it was one.
const client = require("prom-client");
const {url, work, limit} = require("./job");
const registry = new client.Registry();
client.collectDefaultMetrics({register: registry});
const registers = [registry];
const duration = new client.Gauge({name: "nightly_duration_seconds", help: "-", registers});
(async () => {
    const end = duration.startTimer();
    try {
        work();
        new client.Gauge({name: "nightly_last_success_unixtime", help: "-", registers}).setToCurrentTime();
    } finally {
        end();
        await new client.Pushgateway(url, {timeout: limit}, registry).push({jobName: "prom-client"});
    }
})();
