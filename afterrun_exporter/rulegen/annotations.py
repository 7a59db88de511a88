"""Descriptions of alerts, in Prometheus' template language.

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

RULES_OUTDATED: Final = (
    "AfterRun ({{ $labels.job }}) uses a configuration that these alerting rules were "
    "not generated from: routes and rules of single jobs may be wrong or missing. Run "
    "`afterrun generate` and reload Prometheus and Alertmanager."
)

PUSH_FAILING: Final = (
    "AfterRun ({{ $labels.job }}) cannot post alerts to the Alertmanager at "
    "{{ $labels.alertmanager }}. Those of Prometheus still arrive, only later."
)

NOTIFICATIONS_DROPPED: Final = (
    "Prometheus at {{ $labels.instance }} could not hand over alerts to Alertmanager and "
    "dropped them, {{ $value | humanize }} a second. Alerts may be "
    "missing or late, or resolve while they last. Is Alertmanager up, and "
    "--alertmanager.notification-queue-capacity large enough?"
)

NOTIFICATION_QUEUE_SMALL: Final = (
    "Prometheus at {{ $labels.instance }} queues {{ $value }} alerts for Alertmanager, "
    "and there are more jobs than that. When many of them fail at once it drops alerts, "
    "and Alertmanager reports dropped ones as resolved. Start it with "
    "--alertmanager.notification-queue-capacity set to twice the number of jobs."
)

CLOCK_SKEWED: Final = (
    "The clocks of Prometheus and of AfterRun at {{ $labels.instance }} are "
    "{{ $value | humanizeDuration }} apart. Deadlines are AfterRun's and are compared with "
    "the clock of Prometheus: alerts of missed and overrunning jobs come too early or too "
    "late. Is the time synchronised on both machines?"
)

SCRAPED_TWICE: Final = (
    "{{ $value }} scrape jobs of Prometheus read one AfterRun, so every alert of its jobs "
    "is sent {{ $value }} times. Remove all but one of them from scrape_configs; targets "
    "of one exporter, such as shards, belong to one scrape job."
)

DISAPPEARED: Final = (
    "AfterRun is up but no longer knows {{ $labels.job_name }}, so its failures would "
    "not be noticed. Was it removed on purpose? Then do nothing: this resolves by "
    "itself, 6 hours after the job was last seen. If not, check for a change of "
    "afterrun.yml or a lost database."
)

JOBS_UNOBSERVED: Final = (
    "{{ $value }} {{ if eq $value 1.0 }}job was{{ else }}jobs were{{ end }} due while "
    "AfterRun ({{ $labels.job }}) was down; the next run of each decides. Until then it "
    "is not known whether they ran: `afterrun jobs --state unobserved` and the status "
    "page at /?state=unobserved list them."
)

EXPORTER_DOWN: Final = (
    "AfterRun at {{ $labels.instance }} has not answered for 2 minutes. "
    "No job is being monitored, and reports of jobs are being lost."
)

EXPORTER_ABSENT: Final = (
    "Prometheus gets no metrics of any AfterRun exporter, so no job is being monitored. "
    "Is it among the scrape targets, and is its port the right one?"
)

CONFIG_RELOAD_FAILED: Final = (
    "AfterRun ({{ $labels.job }}) refused its changed configuration, or Alertmanager "
    "the alertmanager.yml that AfterRun manages, and still uses the previous one. "
    "`afterrun check` lists the problems of afterrun.yml, and the log those "
    "of alertmanager.yml."
)

PINGS_REJECTED: Final = (
    'About {{ $value | printf "%.0f" }} pings were refused within 10 minutes and not '
    "recorded (dialect {{ $labels.dialect }}): some job reports under a wrong name or "
    "in a way that AfterRun cannot read. The log says which and why."
)

STORAGE_FAILING: Final = (
    "AfterRun ({{ $labels.job }}) cannot write its database and answers pings with "
    "503: runs that are not sent again are lost, and jobs will look missed. "
    "Is the disk full?"
)

WATCHDOG: Final = (
    "This alert always fires. When its notifications stop, the path from Prometheus "
    "to you is broken."
)
