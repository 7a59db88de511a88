"""Descriptions of alerts about jobs, in Prometheus' template language.

They do not query Prometheus, because a query for each of thousands of alerts takes longer
than the evaluation interval. They use the value of the alert, and a label that the
expression adds and the alert drops. Both may be unknown (the exporter is down, or older),
and every sentence must be correct without them.
"""

from __future__ import annotations

import string
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Outcome


class _Sentence(string.Template):
    """A template with @ as delimiter; $, % and braces belong to Prometheus' templates."""

    delimiter = "@"


# The format of times in mails; humanizeTimestamp would add milliseconds.
_TIME: Final = '{{ ($value | toTime).Format "2006-01-02 15:04:05 UTC" }}'

# humanizeDuration has spaces, and zeros at the end: 1h 30m 0s.
_DURATION: Final = 'humanizeDuration | reReplaceAll "( 0[hms])+$| " ""'

MISSED: Final = f"{{{{ $labels.job_name }}}}: no run finished by {_TIME}."

# The carried label exists if the limit is that of a heartbeat.
OVERRUNNING: Final = _Sentence(
    "{{ $labels.job_name }}: still {{ if $labels.@DETAIL }}open, no sign of life"
    f"{{{{ else }}}}running, should have finished{{{{ end }}}} by {_TIME}."
).substitute(DETAIL=names.CARRIED)

#: Descriptions of the outcome of the last run of a failing job.
ENDED: Final = {
    Outcome.OK: "is recovering, the last run was ok",
    Outcome.FAIL: "failed",
    Outcome.VIOLATED: "broke a rule",
    Outcome.PARTIAL: "did only a part of its work",
    Outcome.TIMEOUT: "timed out",
    Outcome.INVALID: "sent a report that cannot be read",
    Outcome.SKIPPED: "was skipped",
}

# The carried label is the outcome's code and 1; four digits, of which the first is 1 if
# the others are an exit code; and ten digits, the instant of the last success, 0 for
# never. Prometheus parses a text for each alert and evaluation, so this one has few
# actions.
FAILING: Final = _Sentence(
    """\
{{ $labels.job_name }}: {{ with $labels.@DETAIL -}}
{{ if gt $value 1.0 }}{{ $value }} runs in a row were not ok, the last one {{ end -}}
{{ or (slice . 0 1 | printf "arg%s" | index (args "" @ENDED)) "was not ok" }}
{{- if eq (slice . 1 2) "1" }} with exit code {{ slice . 2 5 | humanize }}{{ end -}}
; {{ if ge (slice . 5) "0000000001" -}}
last ok run at {{ (slice . 5 | toTime).Format "2006-01-02 15:04:05 UTC" }}
{{- else -}}
no ok run so far
{{- end }}
{{- else -}}
the last run was not ok
{{- end }}."""
).substitute(
    DETAIL=names.CARRIED,
    ENDED=" ".join(f'"{ENDED.get(outcome, "")}"' for outcome in Outcome),
)

# A run that does not report the metric also breaks the rule: the value is NaN, which
# is not equal to itself. Without a bound, the value is unknown. The carried label is
# "UNIT OP BOUND".
RULE_VIOLATED: Final = _Sentence(
    """\
{{ $labels.job_name }}: {{ $labels.metric }} {{ with $labels.@DETAIL -}}
{{ $unit := slice . 0 1 }}{{ $op := slice . 2 4 }}{{ $bound := slice . 4 -}}
{{ if ne (slice . 3 4) " " }}{{ $op = slice . 2 5 }}{{ $bound = slice . 5 }}{{ end -}}
{{ if ne $value $value -}}
was not reported
{{- else -}}
was {{ if eq $unit "B" }}{{ $value | humanize1024 | @BYTES }}
{{- else if eq $unit "s" }}{{ $value | @DURATION }}
{{- else if eq $unit "%" }}{{ $value | humanizePercentage }}
{{- else }}{{ $value | printf "%.10g" }}{{ end }}
{{- end }}, expected {{ $op }}
{{- if eq $unit "B" }}{{ $bound | humanize1024 | @BYTES }}
{{- else if eq $unit "s" }}{{ $bound | @DURATION }}
{{- else if eq $unit "%" }}{{ $bound | humanizePercentage }}
{{- else }}{{ $bound }}{{ end }}
{{- if or (match "previous" $labels.rule) (not (match "[<>=]|between" $labels.rule)) }} (rule {{ $labels.rule }}){{ end }}
{{- else -}}
broke the rule {{ $labels.rule }}
{{- end }}."""
).substitute(
    DETAIL=names.CARRIED,
    DURATION=_DURATION,
    # 1.2ki: 1.2 KiB.
    BYTES='reReplaceAll "ki$" "Ki" | reReplaceAll "([A-Z]i)?$" " ${1}B"',
)

# The carried label is "USUAL LIMIT".
SLOW: Final = _Sentence(
    """\
{{ $labels.job_name }}: took {{ with $labels.@DETAIL -}}
{{ $value | @DURATION }}, usually {{ reReplaceAll " .*" "" . | @DURATION -}}
{{ " " }}(limit {{ reReplaceAll ".* " "" . | @DURATION }})
{{- else -}}
unusually long
{{- end -}}."""
).substitute(DETAIL=names.CARRIED, DURATION=_DURATION)

SUCCESS_RATIO_LOW: Final = (
    "{{ $labels.job_name }}: {{ if lt $value 1.0 }}only {{ $value | humanizePercentage }}"
    "{{ else }}too few{{ end }} of its recent runs were ok."
)

OVERLAPPING: Final = (
    "{{ $labels.job_name }}: {{ if gt $value 1.0 }}{{ $value }} runs are open "
    "at once{{ else }}more runs are open than allowed{{ end }}."
)

UPSTREAM_UNHEALTHY: Final = (
    "A job that {{ $labels.job_name }} requires is missed, overrunning, failing or "
    "violated, or was when {{ $labels.job_name }} was last due. Its own alerts are suppressed: fix the "
    "other job first."
)

SUCCEEDED: Final = "{{ $labels.job_name }}: a run finished ok."

TEST: Final = (
    "This is a test alert. Nothing is wrong with {{ $labels.job_name }}, "
    "and the alert ends by itself."
)
