# The job that every client here reports: it leaves a mark, and fails if told to.
work() { : >"$MARK"; }
status() { if [ -n "$FAILS" ]; then echo 3; else echo 0; fi; }
