#!/bin/sh
# Dumps the orders month by month, packs them, and reports to AfterRun what came out.
#
#   backup.sh DATABASE DIRECTORY PING_URL
#
# It has no switch for what a test wants to see: what goes wrong is in the database or
# in the directory.
set -eu

database=$1 directory=$2 url=$3
run_id=$(date -u +%Y-%m-%dT%H:%M:%SZ)-$$
began=$(date +%s%3N)
metrics=

tell() {
    curl -sS --fail-with-body -H 'Content-Type: application/json' "$@" "$url"
}

send() {
    # A file has only the last of several answers.
    tell -m 60 --retry 600 --retry-delay 1 --retry-connrefused \
        -o "$directory/answer.json" -d "@$directory/report.json"
}

finish() {
    exit_code=$?
    status=ok
    if [ "$exit_code" -ne 0 ]; then status=fail; fi
    cat >"$directory/report.json" <<-JSON
	{
	  "status": "$status",
	  "run_id": "$run_id",
	  "duration_ms": $(($(date +%s%3N) - began)),
	  "exit_code": $exit_code,
	  "metrics": {$metrics}
	}
	JSON
    code=0
    send || code=$?
    # A daemon that is killed while it answers: curl itself gives up then.
    case $code in 52 | 56) code=0; send || code=$? ;; esac
    if [ -f "$directory/answer.json" ]; then cat "$directory/answer.json"; fi
    [ "$code" -eq 0 ] || exit "$code"
}
trap finish EXIT

orders() {
    sqlite3 -cmd '.timeout 600000' "$database" "$1"
}

# Once: a monitor that is down must not hold up a backup; one that is busy may.
tell -m 600 -d "{\"status\": \"start\", \"run_id\": \"$run_id\"}" >/dev/null || true

: >"$directory/orders.csv"
months=$(orders 'SELECT DISTINCT month FROM orders ORDER BY month')
for month in $months; do
    # The shop uses this database too.
    if [ -s "$directory/orders.csv" ]; then sleep 1; fi
    orders "SELECT * FROM orders WHERE month = '$month'" >>"$directory/orders.csv"
done
wc -l <"$directory/orders.csv" >"$directory/rows_processed.txt"
tar -C "$directory" -czf "$directory/backup.tar.gz" orders.csv

rows=$(cat "$directory/rows_processed.txt")
size=$(wc -c <"$directory/backup.tar.gz")
metrics="\"rows_processed\": $rows, \"file_size_bytes\": $size"
