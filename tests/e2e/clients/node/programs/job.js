// The job that every client here reports: it leaves a mark, and fails if told to.
const fs = require("fs");
const {URL: url, MARK, FAILS, RID, PATIENCE} = process.env;
const work = () => {
    fs.writeFileSync(MARK, "");
    if (FAILS) throw new Error("the disk is gone");
};
// The last is a time limit in milliseconds.
module.exports = {url, work, rid: RID, limit: 1000 * PATIENCE};
