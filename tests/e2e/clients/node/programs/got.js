// got sends again by itself, the same body.
const {url, work, rid, limit} = require("./job");
(async () => {
    const {default: got} = await import("got");
    let status = "ok", message = "";
    try { work(); } catch (error) { status = "error"; message = error.message; }
    await got.post(`${url}/ping/got`, {json: {status, message, run_id: rid},
        retry: {limit: 2, methods: ["POST"], calculateDelay: ({computedValue}) => computedValue && 100},
        timeout: {request: limit}});
})();
