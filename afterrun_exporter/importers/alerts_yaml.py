"""A worker's alerts.yaml and scheduler.yaml: jobs, policies, receivers and routes.

Both files may be read together; the patterns of the rules are then compared with the
jobs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from afterrun_exporter.config.loading import parse
from afterrun_exporter.core.units import format_duration, parse_duration
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers import queue_health, scheduler_yaml, yaml_text
from afterrun_exporter.importers.alert_rules import SECTIONS, AlertRule, AlertRules
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.yaml_files import YamlDocument, documents, paths_of
from afterrun_exporter.importers.yaml_sections import Section

_DEPTH: Final = 8
_ALERT_KEYS: Final = ("settings", *SECTIONS)
_KEYS: Final = ("schedules", *_ALERT_KEYS)
_SETTINGS: Final = ("enabled", "channels", "slack", "discord", "email", "throttle")
_IN_SLACK: Final = "is set with the incoming webhook, in Slack"
_IN_DISCORD: Final = "is set with the webhook, in Discord"
_HOUR: Final = 3600
#: The default repeat_interval, which is not shorter than group_interval.
_REPEAT: Final = parse_duration("4h")
_ALL: Final = ".*"


def read(files: Sequence[InputFile]) -> Imported:
    """Return the jobs of each scheduler.yaml and the alerts of each alerts.yaml."""
    unmapped: list[Unmapped] = []
    roots: list[Section] = []
    for file in files:
        for one in documents(file):
            roots += _root(one, unmapped)
    related = [root for root in roots if any(map(root.has, _KEYS))]
    if not related and not unmapped:
        for name in dict.fromkeys(file.name for file in files):
            reason = f"has none of {', '.join(_KEYS)}"
            unmapped.append(Unmapped(Source(name), "the file", reason))
    # A directory may have further files, such as an afterrun.yml.
    roots = related
    jobs: list[ImportedJob] = []
    for root in roots:
        for job in scheduler_yaml.jobs(root):
            if job.name in {one.name for one in jobs}:
                reason = "is in an earlier file, which is imported"
                unmapped.append(Unmapped(job.source, job.name, reason))
            else:
                jobs.append(job)
    rules = AlertRules([one.name for one in jobs])
    alertmanager: dict[str, object] = {}
    for root in roots:
        alertmanager |= _alerts(root, rules)
        root.close(_KEYS)
    policies = rules.policies()
    if rules.queue:
        jobs.append(queue_health.job(rules.queue, rules.jobs))
    sections = {"alertmanager": alertmanager} if alertmanager else {}
    return Imported(
        tuple(jobs), tuple(policies), sections, tuple(sorted(set(unmapped)))
    )


def _root(one: YamlDocument, unmapped: list[Unmapped]) -> Iterator[Section]:
    unmapped += one.reports()
    if not one.is_readable:
        return
    if not isinstance(one.data, dict):
        return
    one.locate(list(paths_of(one.data, _DEPTH)))
    yield Section(one, (), one.data, unmapped)


def _alerts(root: Section, rules: AlertRules) -> dict[str, object]:
    """Add the rules of *root*, and return the ``alertmanager:`` of its settings."""
    if not any(root.has(key) for key in _ALERT_KEYS):
        return {}
    settings = root.section("settings")
    if settings.boolean("enabled") is False:
        for key in SECTIONS:
            root.value(key)
        settings.report("enabled", "all alerts are off, so none is imported")
        return {}
    first = len(rules.rules)
    for kind in SECTIONS:
        for section in root.sections(kind):
            rules.add(kind, section)
    return _alertmanager(settings, rules.rules[first:])


def _alertmanager(settings: Section, rules: Sequence[AlertRule]) -> dict[str, object]:
    default = settings.texts("channels") or []
    channels = dict.fromkeys(
        [*default, *(name for one in rules for name in one.channels or ())]
    )
    ways = {name: way for name in channels if (way := _way(settings, name)) is not None}
    result: dict[str, object] = {}
    if "slack" in ways:
        result["slack_url_file"] = "secrets/slack_url"
    if "email" in ways and (sender := settings.section("email").text("from")):
        smtp = {"from": sender}
        if _is_valid(settings, "email", {"smtp": smtp}):
            result["smtp"] = smtp
    for key in ("slack", "discord", "email"):
        _close_channel(settings, key)
    receivers: dict[str, object] = {name: [way] for name, way in ways.items()}
    main = [name for name in default if name in ways]
    if len(main) > 1:
        receivers = {"default": [ways[name] for name in main], **receivers}
    if receivers:
        result["receivers"] = receivers
        if main:
            result["receiver"] = main[0] if len(main) == 1 else "default"
    result |= dict(_throttle(settings))
    if routes := list(_routes(rules, main, ways)):
        result["routes"] = routes
    settings.close(_SETTINGS)
    return result


def _way(settings: Section, name: str) -> dict[str, object] | None:
    """Return the integration of the channel *name*; report an unknown one."""
    way: dict[str, object]
    if name == "slack":
        channel = settings.section("slack").text("channel")
        way = {"slack": {"channel": channel} if channel else {}}
    elif name == "discord":
        way = {"discord": {"url_file": "secrets/discord_url"}}
    elif name == "email":
        to = settings.section("email").value("to")
        if isinstance(to, list) and all(isinstance(one, str) for one in to):
            to = ", ".join(to)
        if not isinstance(to, str):
            settings.report("email", "has no address in to: add a receiver by hand")
            return None
        way = {"email": to}
    else:
        reason = f"unknown channel {name!r}: use slack, email or discord"
        settings.report("channels", reason)
        return None
    section = {"slack_url_file": "secrets/slack_url", "receivers": {name: [way]}}
    return way if _is_valid(settings, name, section) else None


def _is_valid(settings: Section, key: str, section: Mapping[str, object]) -> bool:
    """Return True if afterrun.yml accepts *section* of alertmanager; report if not."""
    lines = yaml_text.entry("alertmanager", section)
    try:
        parse("\n".join(lines) + "\n", on_disk=False)
    except ConfigError as error:
        settings.report(key, "; ".join(one.message for one in error.problems))
        return False
    return True


def _close_channel(settings: Section, key: str) -> None:
    """Report the keys of a channel that its own service has."""
    channel = settings.section(key)
    if key == "email":
        channel.value("to"), channel.value("from")
    reason = {"slack": _IN_SLACK, "discord": _IN_DISCORD}.get(key, "")
    if key == "slack":
        channel.value("channel")
    for name in ("username", "iconEmoji", "avatarUrl"):
        if reason and channel.has(name):
            channel.report(name, reason)
    channel.close(("channel", "username", "iconEmoji", "avatarUrl", "to", "from"))


def _throttle(settings: Section) -> Iterator[tuple[str, object]]:
    throttle = settings.section("throttle")
    interval = throttle.seconds("minInterval")
    per_hour = throttle.count("maxAlertsPerJobPerHour")
    throttle.close(("minInterval", "maxAlertsPerJobPerHour"))
    least = math.ceil(_HOUR / per_hour) if per_hour else 0
    longest = max(interval or 0, least)
    if not longest:
        return
    yield "group_by", ["job_name"] if per_hour else ["alertname", "job_name"]
    yield "group_interval", format_duration(longest)
    if longest > _REPEAT:
        yield "repeat_interval", format_duration(longest)


def _routes(
    rules: Sequence[AlertRule], main: Sequence[str], ways: Mapping[str, Any]
) -> Iterator[dict[str, object]]:
    """Yield the routes of rules with other channels than the default ones."""
    for rule in rules:
        channels = [name for name in rule.channels or main if name in ways]
        if sorted(channels) == sorted(main) or not channels:
            continue
        match: dict[str, object] = {}
        if rule.severity:
            match["severity"] = rule.severity
        match["alert"] = sorted(set(rule.conditions))
        if rule.pattern not in {"", _ALL} and not rule.is_queue:
            match["job"] = rule.pattern
        elif rule.is_queue:
            match["job"] = "^queue-health"
        yield {"match": match, "receivers": channels}
