// The job that every client here reports: it leaves a mark, and fails if told to.
const fs = require("fs");
const {URL: url, MARK, FAILS, RID} = process.env;
const work = () => {
    fs.writeFileSync(MARK, "");
    if (FAILS) throw new Error("the disk is gone");
};
module.exports = {url, work, rid: RID};
