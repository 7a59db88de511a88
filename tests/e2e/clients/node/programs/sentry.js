// Sentry's SDK for Node, and the end of a program that has run its job once.
const Sentry = require("@sentry/node");
const {url, work} = require("./job");
Sentry.init({dsn: url.replace("http://", "http://public@") + "/42"});
const ended = async run => {
    let status = 0;
    try {
        await run();
    } catch (error) {
        console.error(error.message);
        status = 1;
    }
    await Sentry.flush(10000);
    process.exit(status);
};
module.exports = {Sentry, work, ended};
