"""What prometheus-operator makes of an AlertmanagerConfig, in words of its own.

It is written from the documentation of the operator, with the strategy None for matchers
and without the prefixes of names; not from the code that it checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Where the tests say that the operator has read a key of a Secret.
FOLDER: Final = "secrets"

_FLAT: Final = {
    "groupBy": "group_by",
    "groupWait": "group_wait",
    "groupInterval": "group_interval",
    "repeatInterval": "repeat_interval",
    "muteTimeIntervals": "mute_time_intervals",
    "activeTimeIntervals": "active_time_intervals",
    "emailConfigs": "email_configs",
    "slackConfigs": "slack_configs",
    "webhookConfigs": "webhook_configs",
    "pagerdutyConfigs": "pagerduty_configs",
    "sendResolved": "send_resolved",
    "requireTLS": "require_tls",
    "authUsername": "auth_username",
    "authPassword": "auth_password_file",
    "apiURL": "api_url_file",
    "titleLink": "title_link",
    "maxAlerts": "max_alerts",
    "httpConfig": "http_config",
    "credentials": "credentials_file",
    "routingKey": "routing_key_file",
    "clientURL": "client_url",
    "daysOfMonth": "days_of_month",
    "startTime": "start_time",
    "endTime": "end_time",
    "timeIntervals": "time_intervals",
}
_SECRETS: Final = {"authPassword", "apiURL", "credentials", "routingKey"}


def alertmanager_yml(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the alertmanager.yml that the spec comes to."""
    made = {
        "route": _plain(spec["route"]),
        "receivers": _plain(spec["receivers"]),
        "inhibit_rules": [
            {
                "source_matchers": _matchers(rule["sourceMatch"]),
                "target_matchers": _matchers(rule["targetMatch"]),
                "equal": rule["equal"],
            }
            for rule in spec["inhibitRules"]
        ],
    }
    if intervals := spec.get("muteTimeIntervals"):
        made["time_intervals"] = _plain(intervals)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain: dict[str, Any] = {}
    for key, below in value.items():
        if key in _SECRETS:
            plain[_FLAT[key]] = f"{FOLDER}/{below['key']}"
        elif key == "matchers":
            plain[key] = _matchers(below)
        elif key in {"headers", "details"}:
            plain[key] = {one["key"]: one["value"] for one in below}
        elif key == "daysOfMonth":
            plain[_FLAT[key]] = [_days(one) for one in below]
        else:
            plain[_FLAT.get(str(key), str(key))] = _plain(below)
    return plain


def _days(days: Mapping[str, int]) -> str:
    first, last = days["start"], days["end"]
    return str(first) if first == last else f"{first}:{last}"


def _matchers(matchers: list[Any]) -> list[str]:
    return [
        f"{one['name']} {one['matchType']} {_quoted(one['value'])}" for one in matchers
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
