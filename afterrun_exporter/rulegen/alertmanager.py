"""Generation of alertmanager.yml, its template and its tests.

It uses only features of Alertmanager 0.25. It is pure, except that it reads the template
from the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import (
    DISCARD,
    Alertmanager,
    JobReceiver,
    Slack,
    Smtp,
    TimeInterval,
)
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import (
    base_inhibitions,
    inhibition_tests,
    merging,
    render,
    route_tests,
    routes,
)
from afterrun_exporter.rulegen import receivers as ways
from afterrun_exporter.rulegen.inhibitions import inhibit_rules
from afterrun_exporter.rulegen.promql import any_of

DIRECTORY: Final = Path("alertmanager")
CONFIG: Final = DIRECTORY / "alertmanager.yml"

#: The path of the template, relative to alertmanager.yml.
TEMPLATE: Final = Path("templates/afterrun.tmpl")

#: The pattern of all templates beside it.
TEMPLATES: Final = "templates/*.tmpl"

#: The number of alerts that a message shows in full; others are only counted.
MAX_FLAGGED: Final = 20

#: The most characters of a message that are in a subject; of a longer one, its last words.
SHORT_MESSAGE: Final = 60

#: The last time an alert of the group started or ended; templates have no current time.
_NEWEST: Final = """\
{{- $newest := (index .Alerts 0).StartsAt }}
{{- range .Alerts }}
{{- if .StartsAt.After $newest }}{{ $newest = .StartsAt }}{{ end }}
{{- if and (eq .Status "resolved") (.EndsAt.After $newest) }}{{ $newest = .EndsAt }}{{ end }}
{{- end }}
{{- $old := $newest.Add -@INTERVAL@ }}"""

#: URLs for one alert in a message: a form for a silence of it, and a graph of its job if
#: Prometheus has sent it.
_LINKS: Final = r"""{{- $filter := printf "{alertname=%q" .Labels.alertname }}
{{- with .Labels.job_name }}{{ $filter = printf "%s,job_name=%q" $filter . }}{{ end }}
{{- with .Labels.instance }}{{ $filter = printf "%s,instance=%q" $filter . }}{{ end }}
{{- with .Labels.rule }}{{ $filter = printf "%s,rule=%q" $filter . }}{{ end }}
{{- $filter = printf "%s}" $filter | urlquery | reReplaceAll "\\+" "%20" }}
{{- $silence := printf "%s/#/silences/new?filter=%s" $.ExternalURL $filter }}
{{- $graph := .GeneratorURL }}{{ $expr := "" }}
{{- if .Labels.job_name }}
{{- if not (match "/graph\\?" $graph) }}{{ $graph = "" }}{{ end }}
{{- $expr = printf "{__name__=~\"@GRAPHED@\",job_name=%q}" .Labels.job_name }}
{{- if and .Labels.metric (ne .Labels.metric "duration") }}
{{- $expr = printf "@METRIC@{job_name=%q,metric=%q}" .Labels.job_name .Labels.metric }}
{{- end }}
{{- if eq .Labels.alertname "@MISSED@" }}
{{- $expr = printf "time() - @DEADLINE@{job_name=%q}" .Labels.job_name }}
{{- end }}
{{- end }}
{{- if and $graph $expr }}
{{- $expr = $expr | urlquery | reReplaceAll "\\+" "%20" }}
{{- $graph = printf "%s?g0.expr=%s&g0.tab=0" (reReplaceAll "\\?.*" "" $graph) $expr }}
{{- end }}"""
#: The first page of the daemon if alerts of several jobs are open: it groups them by cause.
_OVERVIEW: Final = r"""{{- $overview := "" }}
{{- if and (gt (len .Alerts.Firing) 1) (not .CommonLabels.job_name) }}
{{- range .Alerts.Firing }}{{ if .Labels.job_name }}{{ with .Annotations.page_url }}
{{- $overview = . | reReplaceAll "/jobs/[^/]*$" "/" }}
{{- end }}{{ end }}{{ end }}
{{- end }}"""
#: A filter of texts that removes the day of the alert's start, which is told beside them.
_TODAY: Final = (
    r'reReplaceAll (printf "%s (\\d\\d:\\d\\d:\\d\\d UTC)" '
    '(.StartsAt.UTC.Format "2006-01-02")) "$1"'
)

#: Series of a job that show most problems; of a missed one, the time since its deadline.
_GRAPHED: Final = any_of(
    (names.CONSECUTIVE_FAILURES, names.LAST_DURATION, names.RUNNING)
)

#: The style of a link in a mail.
_BUTTON: Final = (
    "display: inline-block; padding: 11px; margin: 0 5px 8px 0; font-size: 14px; "
    "border: 1px solid #94a3b8; border-radius: 6px; text-decoration: none"
)


def files(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    receivers: Sequence[JobReceiver] = (),
    base: Mapping[str, Any] | None = None,
) -> Mapping[Path, str]:
    """Return all files that Alertmanager needs, and the tests of its routes.

    *receivers* are those added over the API; *base* is the content of
    ``alertmanager.base``. Raises GenerateError if they cannot be merged.
    """
    config = config_text(jobs, label_keys, alertmanager, receivers, base)
    secrets = ways.secret_files(receivers)
    return {
        CONFIG: config,
        DIRECTORY / TEMPLATE: template_text(alertmanager),
        DIRECTORY / "routes.test": route_tests.text(
            jobs, alertmanager, receivers, str(CONFIG)
        ),
        DIRECTORY / "inhibitions.test.yml": inhibition_tests.text(
            jobs, alertmanager, str(CONFIG)
        ),
        **{DIRECTORY / path: text for path, text in secrets.items()},
    }


def config_text(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    receivers: Sequence[JobReceiver] = (),
    base: Mapping[str, Any] | None = None,
    templates: str = TEMPLATES,
) -> str:
    """Return the text of alertmanager.yml, for the same arguments.

    Equal arguments give equal text. It refers to the files of secrets (receivers.py) and
    to the *templates* with relative paths by default.
    """
    smtp = None if base is None else _beside(alertmanager, base)
    ours: dict[str, Any] = {
        "global": {"resolve_timeout": "5m"},
        "templates": [templates],
        **own_config(jobs, label_keys, alertmanager, receivers, smtp),
    }
    if base is not None:
        rules = _inhibit_rules(base)
        for one in silencers(jobs, label_keys, alertmanager, base):
            if one.is_excluded:
                rules[one.number] = base_inhibitions.excluding_ours(rules[one.number])
        changed = {**base, "inhibit_rules": rules} if rules else base
        ours = merging.merged(ours, changed, alertmanager.base)
    elif any("email_configs" in receiver for receiver in ours["receivers"]):
        by = alertmanager.smtp or Smtp()
        ours["global"] |= ways.smtp_globals(by, alertmanager)
    return render.to_yaml(ours, note="".join(_notes(alertmanager, base)))


def own_config(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    receivers: Iterable[JobReceiver] = (),
    smtp: Smtp | None = None,
) -> dict[str, Any]:
    """Return the routes, receivers, time intervals and inhibitions of alertmanager.yml.

    *smtp* is the mail server of each mail; None for that in ``global:``.
    """
    receivers = sorted(receivers, key=lambda receiver: receiver.id)
    ours: dict[str, Any] = {
        "route": routes.tree(jobs, label_keys, alertmanager, receivers),
        "receivers": [
            {"name": DISCARD},
            *(ways.configured(r, alertmanager, smtp) for r in alertmanager.receivers),
            *(one for r in receivers for one in ways.added(r, alertmanager, smtp)),
        ],
    }
    if alertmanager.mute_times:
        ours["time_intervals"] = [
            {"name": name, "time_intervals": list(map(_interval, intervals))}
            for name, intervals in alertmanager.mute_times
        ]
    ours["inhibit_rules"] = inhibit_rules(alertmanager)
    return ours


def silencers(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    base: Mapping[str, Any],
) -> list[base_inhibitions.Silencer]:
    """Return the inhibit rules of *base* that can silence alerts of AfterRun."""
    alerts = base_inhibitions.Alerts(jobs, label_keys, alertmanager)
    return base_inhibitions.silencers(_inhibit_rules(base), alerts)


def template_text(alertmanager: Alertmanager) -> str:
    """Return the template of messages, ``templates/afterrun.tmpl``."""
    text = (render.TEMPLATES / TEMPLATE.name).read_text("utf-8")
    groupings = (alertmanager.grouping, *(r.grouping for r in alertmanager.routes))
    longest = max(grouping.group_interval or 0.0 for grouping in groupings)
    parts = {
        "OVERVIEW": _OVERVIEW,
        "NEWEST": _NEWEST.replace("@INTERVAL@", str(round(longest * 1e9))),
        "LINKS": _LINKS,
        "TODAY": _TODAY,
        "GRAPHED": _GRAPHED,
        "METRIC": names.METRIC_VALUE,
        "MISSED": names.JOB_MISSED,
        "DEADLINE": names.DEADLINE,
        "FAILING": names.JOB_FAILING,
        "SHORTEST": str(SHORT_MESSAGE),
        "MOST": str(MAX_FLAGGED),
        "CONDITION": _condition(),
        "BUTTON": _BUTTON,
    }
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def _condition() -> str:
    """Return the template of the condition of an alert with the name in the dot."""
    cases = " else ".join(
        f'if eq . "{alert}" }}}}{condition.replace("_", " ")}{{{{'
        for condition, alert in names.ALERT_OF.items()
    )
    return f"{{{{ {cases} else }}}}{{{{ . }}}}{{{{ end }}}}"


def _beside(alertmanager: Alertmanager, base: Mapping[str, Any]) -> Smtp | None:
    """Return the mail server of AfterRun's mails; None for that of *base*.

    Raises GenerateError if the two conflict.
    """
    slack = (way for r in alertmanager.receivers for way in r.integrations)
    if not merging.has(base, "slack_api_url") and any(
        isinstance(way, Slack) and not way.url_file for way in slack
    ):
        raise GenerateError(
            f"global of {alertmanager.base!r} has no slack_api_url_file: "
            "set alertmanager.slack_url_file"
        )
    ours = alertmanager.smtp
    if ours is None:
        return None if merging.has(base, "smtp_smarthost") else Smtp()
    if not ours.auth_username and merging.has(base, "smtp_auth_"):
        # Alertmanager uses global settings as defaults, and would send the password of
        # one server to the other.
        raise GenerateError(
            f"global of {alertmanager.base!r} has smtp_auth_username: set "
            "alertmanager.smtp.auth_username too, or remove alertmanager.smtp"
        )
    return ours


def _inhibit_rules(base: Mapping[str, Any]) -> list[Any]:
    rules = base.get("inhibit_rules")
    return list(rules) if isinstance(rules, list) else []


def _interval(interval: TimeInterval) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "times": [
            {"start_time": start, "end_time": end} for start, end in interval.times
        ],
        "weekdays": list(interval.weekdays),
        "days_of_month": list(interval.days_of_month),
        "months": list(interval.months),
        "years": list(interval.years),
        "location": interval.location,
    }
    return {key: value for key, value in keys.items() if value}


def _notes(alertmanager: Alertmanager, base: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the lines of the file's header."""
    yield "# It comes from alertmanager: in afterrun.yml; docs/routing.md explains it.\n"
    if base is not None:
        yield f"# Holds all of {alertmanager.base}, secrets included if it has any.\n"
    if not alertmanager.receivers:
        yield (
            "# No notifications are sent yet: afterrun.yml has no "
            "alertmanager.receivers.\n"
        )
