-- What wrk sends, and what it was answered: see benchmarks/wrk.py.
--
-- Arguments: KIND JOBS STEP SERIES DELAY OFFSET FILE. Every STEP-th of so many jobs is
-- pinged, in an order that jumps about and begins at OFFSET, each connection waiting
-- DELAY ms between two requests. The run ids that were acknowledged go to FILE, if there is one.

local BATCH = 1000
-- Prime to every number of jobs that we use.
local STRIDE = 7919

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  kind, series, file = args[1], args[4], args[7] or ""
  step = tonumber(args[3])
  jobs = math.floor(tonumber(args[2]) / step)
  pause = tonumber(args[5])
  offset = tonumber(args[6])
  sent, answered, bad, acknowledged = 0, 0, 0, {}
  headers = {["Content-Type"] = "application/json"}
  if kind == "batch" then headers["Content-Type"] = "application/x-ndjson" end
  if kind == "pushgateway" then headers["Content-Type"] = "text/plain" end
  -- wrk calls these only where they exist, and has less to do without.
  if pause > 0 then delay = function() return pause end end
  if kind ~= "pushgateway" then response = read_answer end
end

local function job()
  return string.format("job-%06d", (sent + offset) * STRIDE % jobs * step)
end

-- Every ping is different from every other; benchmarks/ledger.py knows how.
local function report(name)
  return string.format(
    '{%s"status":"ok","run_id":"%s-%d","duration_ms":%d,"metrics":'
      .. '{"rows_processed":%d,"file_size_bytes":%d,"error_ratio":%.4f}}',
    name and '"job":"' .. name .. '",' or "", series, sent, 48000 + sent % 7000,
    100000 + sent % 50000, 3400000 + sent, 0.01 + sent % 100 / 10000)
end

local function gauges()
  return string.format(
    "# TYPE rows_processed gauge\nrows_processed %d\n"
      .. "# TYPE file_size_bytes gauge\nfile_size_bytes %d\n"
      .. "# TYPE error_ratio gauge\nerror_ratio %.4f\n",
    100000 + sent % 50000, 3400000 + sent, 0.01 + sent % 100 / 10000)
end

function request()
  if kind == "batch" then
    local lines = {}
    for n = 1, BATCH do
      sent = sent + 1
      lines[n] = report(job())
    end
    return wrk.format("POST", "/ping", headers, table.concat(lines, "\n"))
  end
  sent = sent + 1
  if kind == "pushgateway" then
    return wrk.format("POST", "/metrics/job/" .. job(), headers, gauges())
  end
  return wrk.format("POST", "/ping/" .. job(), headers, report())
end

function read_answer(status, _, body)
  if status ~= 200 then return end
  for id in body:gmatch('"run_id": ?"([^"]+)"') do
    answered = answered + 1
    if file ~= "" then acknowledged[answered] = id end
  end
end

function done(summary, latency)
  local thread = threads[1]
  local file = thread:get("file")
  if file ~= "" then
    local out = assert(io.open(file, "w"))
    for _, id in ipairs(thread:get("acknowledged")) do out:write(id, "\n") end
    out:close()
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"sent":%d,"answered":%d,"refused":%d,'
      .. '"broken":%d,"p50":%.6f,"p99":%.6f,"longest":%.6f}\n',
    summary.requests, summary.duration / 1e6, thread:get("sent"),
    thread:get("answered"), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end
