#!/bin/sh
# Report the state of a job queue to AfterRun. From cron, every minute:
#
#   * * * * *  /opt/queue-health.sh /var/lib/worker/queue.db http://localhost:10707/ping/queue-health
#
# Here the queue is a database; replace the query with one for yours. Its result must
# be a JSON object of numbers.
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
