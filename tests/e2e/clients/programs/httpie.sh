# HTTPie sends JSON of its own making.
work
code=$(status)
http --ignore-stdin --check-status --timeout "$PATIENCE" POST "$URL/ping/httpie" exit_code:="$code" metrics:='{"rows": 42}'
