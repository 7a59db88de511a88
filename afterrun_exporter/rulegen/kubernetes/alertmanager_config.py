"""The routes, receivers and inhibitions as an AlertmanagerConfig.

It is of version v1alpha1, which prometheus-operator serves without a conversion webhook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from afterrun_exporter.core.kubernetes import Kubernetes
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import Alertmanager, Email, Slack
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import alertmanager as alertmanagers
from afterrun_exporter.rulegen import matchers
from afterrun_exporter.rulegen.kubernetes import secrets
from afterrun_exporter.rulegen.kubernetes.messages import Messages

Node = dict[str, Any]

#: Keys whose words are not joined in the usual way; all others are `groupBy` and so on.
_KEYS: Final = {
    "api_url_file": "apiURL",
    "auth_password_file": "authPassword",
    "client_url": "clientURL",
    "credentials_file": "credentials",
    "require_tls": "requireTLS",
    "routing_key_file": "routingKey",
}
#: Keys with mappings that are lists of keys and values.
_PAIRS: Final = frozenset({"details", "headers"})
_UTC: Final = frozenset({"", "UTC", "Etc/UTC"})


def spec(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    secret: str,
) -> Node:
    """Return the ``spec:`` of an AlertmanagerConfig; *secret* has its secrets.

    Raises GenerateError with everything that would change its meaning.
    """
    if problems := list(_problems(alertmanager)):
        raise GenerateError("; ".join(problems))
    secrets.keys(alertmanager)
    ours = alertmanagers.own_config(
        jobs, label_keys, alertmanager, smtp=alertmanager.smtp
    )
    messages = Messages(alertmanagers.template_text(alertmanager))
    result: Node = {
        "route": _route(ours["route"]),
        "receivers": [
            _receiver(one, secret, messages.inline) for one in ours["receivers"]
        ],
        "inhibitRules": [
            {
                "sourceMatch": _matchers(rule["source_matchers"]),
                "targetMatch": _matchers(rule["target_matchers"]),
                "equal": list(rule["equal"]),
            }
            for rule in ours["inhibit_rules"]
        ],
    }
    if intervals := ours.get("time_intervals"):
        result["muteTimeIntervals"] = [
            {
                "name": one["name"],
                "timeIntervals": list(map(_interval, one["time_intervals"])),
            }
            for one in intervals
        ]
    return result


def limits(alertmanager: Alertmanager, settings: Kubernetes) -> Iterator[str]:
    """Yield the settings of *alertmanager* that an AlertmanagerConfig cannot express."""
    namespace = settings.namespace
    if not namespace or dict(settings.alert_labels).get("namespace") != namespace:
        label = f'namespace="{namespace}"' if namespace else "its namespace as a label"
        yield (
            f"By default prometheus-operator routes only alerts with {label} to it, and "
            "some of AfterRun have no such label:\nset kubernetes.alert_labels.namespace, "
            "or alertmanagerConfigMatcherStrategy: {type: None} in the Alertmanager object."
        )
    ways = [way for one in alertmanager.receivers for way in one.integrations]
    if alertmanager.smtp is None and any(isinstance(way, Email) for way in ways):
        yield (
            "It has no mail server: mails use that of the Alertmanager object, unless "
            "alertmanager.smtp is set."
        )
    if any(isinstance(way, Slack) and not way.url_file for way in ways):
        yield "Slack messages without url_file use the URL of the Alertmanager object."
    if alertmanager.base:
        yield (
            f"Nothing of {alertmanager.base} is in it, and its inhibit rules may silence "
            "alerts of AfterRun.\nkubernetes.alertmanager: Secret includes it."
        )


def _problems(alertmanager: Alertmanager) -> Iterator[str]:
    for name, intervals in alertmanager.mute_times:
        zones = {one.location for one in intervals} - _UTC
        for zone in sorted(zones):
            yield (
                f"alertmanager.mute_times.{name} is in the time zone {zone!r}, and an "
                "AlertmanagerConfig has only UTC: write it in UTC, or set "
                "kubernetes.alertmanager: Secret"
            )


def _route(route: Mapping[str, Any]) -> Node:
    node: Node = {}
    for key, value in route.items():
        match key:
            case "matchers":
                node[key] = _matchers(value)
            case "routes":
                node[key] = list(map(_route, value))
            case _:
                node[_key(key)] = value
    return node


def _matchers(texts: Sequence[str]) -> list[Node]:
    return [
        {"name": one.label, "matchType": one.op, "value": one.value}
        for text in texts
        for one in matchers.parse(text)
    ]


def _receiver(
    receiver: Mapping[str, Any], secret: str, inline: Callable[[str], str]
) -> Node:
    return {
        _key(key): value
        if key == "name"
        else [_integration(one, secret, inline) for one in value]
        for key, value in receiver.items()
    }


def _integration(
    integration: Mapping[str, Any], secret: str, inline: Callable[[str], str]
) -> Node:
    node: Node = {}
    for key, value in integration.items():
        if key.endswith("_file"):
            node[_key(key)] = {"name": secret, "key": secrets.key_of(value)}
        elif key in _PAIRS:
            node[key] = [
                {"key": name, "value": inline(text)} for name, text in value.items()
            ]
        elif isinstance(value, Mapping):
            node[_key(key)] = _integration(value, secret, inline)
        else:
            node[_key(key)] = inline(value) if isinstance(value, str) else value
    return node


def _interval(interval: Mapping[str, Any]) -> Node:
    node: Node = {}
    for key, value in interval.items():
        match key:
            case "times":
                node[key] = [
                    {"startTime": one["start_time"], "endTime": one["end_time"]}
                    for one in value
                ]
            case "days_of_month":
                node[_key(key)] = list(map(_days, value))
            case "location":
                # Only UTC is left, which is the default.
                pass
            case _:
                node[_key(key)] = value
    return node


def _days(text: str) -> Node:
    first, _, last = text.partition(":")
    return {"start": int(first), "end": int(last or first)}


def _key(key: str) -> str:
    first, *others = key.split("_")
    return _KEYS.get(key) or first + "".join(word.capitalize() for word in others)
