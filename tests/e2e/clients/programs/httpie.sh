# HTTPie sends JSON of its own making.
work
code=$(status)
http --ignore-stdin --check-status --timeout 10 POST "$URL/ping/httpie" exit_code:="$code" metrics:='{"rows": 42}'
