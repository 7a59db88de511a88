// axios with axios-retry, a form of URLSearchParams.
const axios = require("axios");
const {default: retry} = require("axios-retry");
const {url, work, rid, limit} = require("./job");
retry(axios, {retries: 2, retryDelay: () => 100, retryCondition: () => true});
(async () => {
    let exit_code = 0;
    try { work(); } catch { exit_code = 1; }
    await axios.post(`${url}/ping/axios`, new URLSearchParams({exit_code, rows: 42, run_id: rid}), {timeout: limit});
})();
