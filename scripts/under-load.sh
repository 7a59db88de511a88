#!/bin/sh
# Runs a command beside four programs that keep the processors busy; its exit status
# is that of the command.
#
#   scripts/under-load.sh .venv/bin/pytest tests/core
set -u

hogs=
for _ in 1 2 3 4; do
    sh -c 'while :; do :; done' &
    hogs="$hogs $!"
done
# shellcheck disable=SC2086
trap 'kill $hogs 2>/dev/null' EXIT INT TERM

"$@"
