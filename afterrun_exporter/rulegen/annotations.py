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
from afterrun_exporter.core.rules import DURATION


class _Sentence(string.Template):
    """A template with @ as delimiter; $, % and braces belong to Prometheus' templates."""

    delimiter = "@"


# The format of times in mails; humanizeTimestamp would add milliseconds.
_TIME: Final = '{{ ($value | toTime).Format "2006-01-02 15:04:05 UTC" }}'

MISSED: Final = (
    f"{{{{ $labels.job_name }}}} should have finished by {_TIME}, grace included, "
    "and has not."
)

OVERRUNNING: Final = (
    "{{ $labels.job_name }} has started and not finished; "
    f"it should have finished, or sent a sign of life, by {_TIME}."
)

#: Descriptions of outcomes other than ok.
_ENDED: Final = {
    Outcome.FAIL: "failed",
    Outcome.PARTIAL: "did only a part of its work",
    Outcome.TIMEOUT: "took too long and was given up",
    Outcome.INVALID: "sent a report that cannot be read",
}

# The carried label is one digit, the outcome's code and 1, and ten digits, the instant of
# the last success, 0 for never. Prometheus parses a text for each alert and evaluation, so
# this one has few actions.
FAILING: Final = _Sentence(
    """\
{{ $labels.job_name }}: {{ with $labels.@DETAIL -}}
{{ $ended := slice . 0 1 | printf "arg%s" | index (args "" @ENDED) -}}
{{ if gt $value 1.0 -}}
the last {{ $value }} runs were not ok{{ with $ended }}, the last one {{ . }}{{ end }}
{{- else -}}
the last run {{ or $ended "was not ok" }}
{{- end }}; it {{ if ge (slice . 1) "0000000001" -}}
last succeeded at {{ (slice . 1 | toTime).Format "2006-01-02 15:04:05 UTC" }}
{{- else -}}
has never succeeded
{{- end }}
{{- else -}}
the last run was not ok
{{- end }}."""
).substitute(
    DETAIL=names.CARRIED,
    ENDED=" ".join(f'"{_ENDED.get(outcome, "")}"' for outcome in Outcome),
)

# A run that does not report the metric also breaks the rule: the value is NaN, which
# is not equal to itself. Without a bound, the value is unknown.
RULE_VIOLATED: Final = _Sentence(
    """\
{{ $labels.job_name }}: {{ $labels.metric }} {{ if not $labels.@DETAIL -}}
broke its rule
{{- else if ne $value $value -}}
was not reported, or a later run has resolved it
{{- else if eq $labels.metric "@DURATION" -}}
was {{ $value | humanizeDuration }}
{{- else -}}
was {{ $value | printf "%.10g" }}
{{- end }}; the rule is {{ $labels.rule }}
{{- if and $labels.@DETAIL (or (match "previous" $labels.rule) (not (match "[<>=]|between" $labels.rule))) -}}
, here {{ $labels.@DETAIL }}
{{- end -}}."""
).substitute(DURATION=DURATION, DETAIL=names.CARRIED)

SLOW: Final = _Sentence(
    """\
{{ $labels.job_name }}: a run took unusually long
{{- with $labels.@DETAIL -}}
, {{ $value | humanizeDuration }}; more than {{ . | humanizeDuration }} counts as slow
{{- end -}}."""
).substitute(DETAIL=names.CARRIED)

SUCCESS_RATIO_LOW: Final = (
    "{{ $labels.job_name }}: too few of its recent runs were ok"
    "{{ if lt $value 1.0 }}, {{ $value | humanizePercentage }}{{ end }}."
)

OVERLAPPING: Final = (
    "{{ $labels.job_name }} has more open runs than allowed"
    "{{ if gt $value 1.0 }}, {{ $value }} in all{{ end }}."
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
