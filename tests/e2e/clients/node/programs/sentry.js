// Sentry's SDK for Node, and the end of a program that has run its job once.
const Sentry = require("@sentry/node");
const {url, work, limit} = require("./job");
Sentry.init({dsn: url.replace("http://", "http://public@") + "/42"});
const ended = async run => {
    let status = 0;
    try {
        await run();
    } catch (error) {
        console.error(error.message);
        status = 1;
    }
    await Sentry.flush(limit);
    process.exit(status);
};
// Once a year: the job must not be due by itself while the program runs.
const RARELY = "0 4 1 1 *";
module.exports = {Sentry, work, ended, RARELY};
