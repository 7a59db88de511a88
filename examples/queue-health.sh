#!/bin/sh
# Tells AfterRun how a job queue is doing. From cron, every minute:
#
#   * * * * *  /opt/queue-health.sh /var/lib/worker/queue.db http://localhost:10707/ping/queue-health
#
# The queue is a database here; put in the question that yours understands. Whatever
# answers with a JSON object of numbers will do.
set -u

database=$1 url=$2

if metrics=$(sqlite3 -readonly "$database" "
    SELECT json_object(
        'dlq_size', count(*) FILTER (WHERE state = 'dead'),
        'pending_jobs', count(*) FILTER (WHERE state = 'waiting'),
        'delayed_jobs', count(*) FILTER (WHERE state = 'delayed'),
        'oldest_pending_seconds', coalesce(
            unixepoch() - min(since) FILTER (WHERE state = 'waiting'), 0),
        'paused', (SELECT paused FROM queue)
    ) FROM jobs" 2>&1); then
    report="{\"metrics\": $metrics}"
else
    report='{"status": "fail", "message": "the queue does not answer"}'
fi

printf '%s' "$report" |
    curl -fsS -m 10 --retry 3 --retry-connrefused "$url" -d @- >/dev/null
