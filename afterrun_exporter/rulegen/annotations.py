"""What alerts say: sentences in Prometheus's template language.

A value that is not on the alert has to be asked for, and there may be no answer
(the exporter is down): every sentence must still be one.
"""

from __future__ import annotations

import string
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.rules import DURATION


class _Sentence(string.Template):
    """Fills in our names; $, % and braces belong to Prometheus's templates."""

    delimiter = "@"


# As the mail's own times are written; humanizeTimestamp has milliseconds.
_TIME: Final = '{{ ($value | toTime).Format "2006-01-02 15:04:05 UTC" }}'

MISSED: Final = (
    f"{{{{ $labels.job_name }}}} should have finished by {_TIME}, grace included, "
    "and has not."
)

OVERRUNNING: Final = (
    "{{ $labels.job_name }} has started and not finished; "
    f"it should have ended, or given a sign of life, by {_TIME}."
)

FAILING: Final = _Sentence(
    """\
{{- $runs := 1.0 -}}
{{- range printf "max(@FAILURES{job=%q,job_name=%q})" $labels.job $labels.job_name | query -}}
{{- $runs = .Value -}}
{{- end -}}
{{- $ended := "" -}}
{{- range printf "max(@OUTCOME{job=%q,job_name=%q})" $labels.job $labels.job_name | query -}}
{{- if eq .Value @FAIL -}}
{{- $ended = "failed" -}}
{{- else if eq .Value @PARTIAL -}}
{{- $ended = "did only a part of its work" -}}
{{- else if eq .Value @TIMEOUT -}}
{{- $ended = "took too long and was given up" -}}
{{- else if eq .Value @INVALID -}}
{{- $ended = "sent a report that cannot be read" -}}
{{- end -}}
{{- end -}}
{{ $labels.job_name }}: {{ if gt $runs 1.0 -}}
the last {{ $runs }} runs were not ok{{ with $ended }}, the last one {{ . }}{{ end }}
{{- else -}}
the last run {{ or $ended "was not ok" }}
{{- end -}}
{{- range printf "max(@SUCCESS{job=%q,job_name=%q})" $labels.job $labels.job_name | query -}}
{{- if gt .Value 0.0 -}}
; it last succeeded at {{ (.Value | toTime).Format "2006-01-02 15:04:05 UTC" }}
{{- else -}}
; it has never succeeded
{{- end -}}
{{- end -}}."""
).substitute(
    FAILURES=names.CONSECUTIVE_FAILURES,
    SUCCESS=names.LAST_SUCCESS,
    OUTCOME=names.LAST_OUTCOME,
    **{outcome.name: f"{code}.0" for code, outcome in enumerate(Outcome)},
)

# A run that does not report the metric breaks the rule as well. The value that is
# known then comes from an earlier run and keeps the rule: to show it as the
# reason would mislead, hence the comparison.
RULE_VIOLATED: Final = _Sentence(
    """\
{{- $values := printf "max(@VALUE{job=%q,job_name=%q,metric=%+q})" $labels.job $labels.job_name $labels.metric | query -}}
{{- if eq $labels.metric "@DURATION" -}}
{{- $values = printf "max(@TOOK{job=%q,job_name=%q})" $labels.job $labels.job_name | query -}}
{{- end -}}
{{- $bounds := printf "max by (op) (@THRESHOLD{job=%q,job_name=%q,rule=%+q})" $labels.job $labels.job_name $labels.rule | query | sortByLabel "op" -}}
{{- $broken := false -}}
{{- range $values -}}
{{- $value := .Value -}}
{{- range $bounds -}}
{{- if or (and (eq .Labels.op ">") (le $value .Value)) (and (eq .Labels.op ">=") (lt $value .Value)) -}}
{{- $broken = true -}}
{{- else if or (and (eq .Labels.op "<") (ge $value .Value)) (and (eq .Labels.op "<=") (gt $value .Value)) -}}
{{- $broken = true -}}
{{- else if or (and (eq .Labels.op "==") (ne $value .Value)) (and (eq .Labels.op "!=") (eq $value .Value)) -}}
{{- $broken = true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $labels.job_name }}: {{ $labels.metric }} {{ if not $bounds -}}
broke its rule
{{- else if not $broken -}}
was not reported, or a later run has healed it
{{- else if eq $labels.metric "@DURATION" -}}
was {{ $values | first | value | humanizeDuration }}
{{- else -}}
was {{ $values | first | value | printf "%.10g" }}
{{- end }}; the rule is {{ $labels.rule }}
{{- if or (match "previous" $labels.rule) (not (match "[<>=]|between" $labels.rule)) -}}
{{- range $bounds }}, here {{ .Labels.op }} {{ .Value | printf "%.10g" }}{{ end -}}
{{- end -}}."""
).substitute(
    DURATION=DURATION,
    VALUE=names.METRIC_VALUE,
    TOOK=names.LAST_DURATION,
    THRESHOLD=names.RULE_THRESHOLD,
)

# The duration that is known may be that of a later run, which failed at once or was
# as fast as ever: hence the comparison.
SLOW: Final = _Sentence(
    """\
{{ $labels.job_name }}: a run took unusually long
{{- $job := printf "job=%q,job_name=%q" $labels.job $labels.job_name -}}
{{- range printf "max(@TOOK{%s}) > max(@THRESHOLD{%s})" $job $job | query -}}
, {{ .Value | humanizeDuration }}
{{- range printf "max(@THRESHOLD{%s})" $job | query -}}
; more than {{ .Value | humanizeDuration }} counts as slow
{{- end -}}
{{- end -}}."""
).substitute(TOOK=names.LAST_DURATION, THRESHOLD=names.SLOW_THRESHOLD)

SUCCESS_RATIO_LOW: Final = _Sentence(
    """\
{{ $labels.job_name }}: too few of its recent runs were ok
{{- range printf "max(@RATIO{job=%q,job_name=%q} >= 0)" $labels.job $labels.job_name | query -}}
, {{ .Value | humanizePercentage }}
{{- end -}}."""
).substitute(RATIO=names.SUCCESS_RATIO)

# Where just one is left, the others have ended since.
OVERLAPPING: Final = _Sentence(
    """\
{{ $labels.job_name }} has more runs open at once than it may
{{- range printf "max(@RUNNING{job=%q,job_name=%q}) > 1" $labels.job $labels.job_name | query -}}
, {{ .Value }} in all
{{- end -}}."""
).substitute(RUNNING=names.RUNNING)

UPSTREAM_UNHEALTHY: Final = (
    "A job that {{ $labels.job_name }} requires is missed, overrunning, failing or "
    "violated, or was when {{ $labels.job_name }} was last due. Its own alerts are held back: mend the "
    "other one first."
)

SUCCEEDED: Final = "{{ $labels.job_name }}: a run ended ok."

TEST: Final = (
    "Somebody asked for this test alert. Nothing is wrong with {{ $labels.job_name }}, "
    "and it ends by itself."
)

RULES_OUTDATED: Final = (
    "AfterRun ({{ $labels.job }}) goes by a configuration that these alerting rules were "
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

SCRAPED_TWICE: Final = (
    "{{ $value }} scrape jobs of Prometheus read one AfterRun, so every alert of its jobs "
    "is told {{ $value }} times. Remove all but one of them from scrape_configs; targets "
    "of one exporter, such as shards, belong into one scrape job."
)

DISAPPEARED: Final = (
    "AfterRun answers and no longer knows {{ $labels.job_name }}, so nothing would "
    "tell if it failed. Was it removed on purpose? Then do nothing: this resolves by "
    "itself, 6 hours after the job was last seen. If not, look for a change of "
    "afterrun.yml or a lost database."
)

JOBS_UNOBSERVED: Final = (
    "{{ $value }} {{ if eq $value 1.0 }}job was{{ else }}jobs were{{ end }} due while "
    "AfterRun ({{ $labels.job }}) was down; the next run of each decides. Until then it "
    "is not known whether they ran: `afterrun jobs --unobserved` and the status page "
    "at /?state=unobserved list them."
)

EXPORTER_DOWN: Final = (
    "AfterRun at {{ $labels.instance }} has not answered for 2 minutes. "
    "No job is being watched, and what jobs report is being lost."
)

EXPORTER_ABSENT: Final = (
    "Prometheus gets no metrics of any AfterRun exporter, so no job is being watched. "
    "Is it among the scrape targets, and is its port the right one?"
)

CONFIG_RELOAD_FAILED: Final = (
    "AfterRun ({{ $labels.job }}) refused its changed configuration, or Alertmanager "
    "the alertmanager.yml that AfterRun keeps for it, and goes on with the one before. "
    "`afterrun check` lists what is wrong with afterrun.yml, and the log what is wrong "
    "with the other."
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
    "This alert always fires. When its notifications stop, the way from Prometheus "
    "to you is broken."
)
