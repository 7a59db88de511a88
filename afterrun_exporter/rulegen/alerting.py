"""Construction of one alerting or recording rule."""

from __future__ import annotations

from typing import Any, Final

from afterrun_exporter import conventions as names

#: A rule or a rule file, as data for Prometheus' YAML.
Data = dict[str, Any]

_BRACES: Final = '{{ "{{" }}'


def alert(
    name: str,
    *,
    expr: str,
    description: str,
    hold: str | None = None,
    severity: str | None = None,
    summary: str | None = None,
    carries: bool = False,
) -> Data:
    """Return an alerting rule; without *severity*, the severity of the series is used.

    The summary is a constant sentence, so that pagers group by it. Labels are constant,
    too: a templated label would create a new alert for each value. If *expr* *carries* a
    label for the description alone, the rule sets it to "", which removes it.
    """
    labels = {names.CARRIED: ""} if carries else {}
    if severity:
        labels[names.SEVERITY] = severity
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold else {}),
        **({"labels": labels} if labels else {}),
        "annotations": {
            "summary": summary or names.SUMMARIES[name],
            "description": description,
            "runbook_url": f"{names.RUNBOOK}#{name.lower()}",
        },
    }


def record(name: str, expr: str, **labels: str) -> Data:
    """Return a recording rule."""
    return {"record": name, "expr": expr, **({"labels": labels} if labels else {})}


def escaped(text: str) -> str:
    """Return *text* escaped for Prometheus' templates."""
    return text.replace("{{", _BRACES)


def unescaped(text: str) -> str:
    """Return the text that `escaped` returned as *text*."""
    return text.replace(_BRACES, "{{")
