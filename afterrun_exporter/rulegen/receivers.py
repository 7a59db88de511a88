"""Receivers of afterrun.yml, and those added over the API, as Alertmanager configuration.

Secrets are written to separate files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from afterrun_exporter.core.routing import (
    Alertmanager,
    Discord,
    Email,
    Integration,
    JobReceiver,
    PagerDuty,
    Receiver,
    ReceiverType,
    Slack,
    Smtp,
    Webhook,
)
from afterrun_exporter.rulegen.yaml_writer import Constant

#: Receivers added over the API whose parts of the file are cached: each change of one
#: writes all of them.
REMEMBERED: Final = 16_384

#: The directory for secrets of receivers added over the API, relative to
#: alertmanager.yml.
SECRETS: Final = Path("secrets")

_SUBJECT: Final = '{{ template "afterrun.subject" . }}'
_TITLE_LINK: Final = '{{ template "afterrun.title_link" . }}'


def configured(
    receiver: Receiver, alertmanager: Alertmanager, smtp: Smtp | None
) -> dict[str, Any]:
    """Return *receiver* as an entry of ``receivers:``.

    *smtp* is the mail server; None for that in ``global:``.
    """
    return _entry(receiver.name, receiver.integrations, alertmanager, smtp)


def added(
    receiver: JobReceiver, alertmanager: Alertmanager, smtp: Smtp | None
) -> tuple[Constant, ...]:
    """Return *receiver* as entries of ``receivers:``, without its secret."""
    return _added(receiver, alertmanager.config_file, smtp)


@lru_cache(REMEMBERED)
def _added(
    receiver: JobReceiver, config_file: str, smtp: Smtp | None
) -> tuple[Constant, ...]:
    ways = [_integration(receiver)]
    # The other settings have no effect on entries.
    alertmanager = Alertmanager(config_file=config_file)
    entries = [_entry(receiver.name, ways, alertmanager, smtp)]
    if receiver.on_success:
        # A success has no second message when it resolves.
        name = receiver.success_name
        entries.append(_entry(name, ways, alertmanager, smtp, resolved=False))
    return tuple(map(Constant, entries))


def secret_files(receivers: Iterable[JobReceiver]) -> Mapping[Path, str]:
    """Return the secrets of *receivers*, by path relative to alertmanager.yml.

    Only Alertmanager may read them.
    """
    return {
        Path(_secret_file(receiver)): _secret(receiver)
        for receiver in receivers
        if receiver.type in {ReceiverType.SLACK, ReceiverType.DISCORD}
    }


def configured_secrets(
    alertmanager: Alertmanager,
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each key of afterrun.yml that needs a secret, and the path of its file.

    The path is absolute if Alertmanager finds the file wherever it runs.
    """
    smtp = alertmanager.smtp
    if smtp is not None and smtp.auth_password_file:
        yield (
            ("smtp", "auth_password_file"),
            _path(smtp.auth_password_file, alertmanager),
        )
    for receiver in alertmanager.receivers:
        for place, integration in enumerate(receiver.integrations):
            if file := secret_of(integration):
                yield ("receivers", receiver.name, place), _path(file, alertmanager)


def secret_of(integration: Integration) -> str:
    """Return the file with the secret of *integration*, or ""."""
    match integration:
        case Slack(url_file=file) | Discord(file):
            return file
        case Webhook(authorization_file=file) | PagerDuty(file):
            return file
        case Email():
            return ""


def smtp_globals(smtp: Smtp, alertmanager: Alertmanager) -> dict[str, Any]:
    """Return *smtp* as keys of ``global:``."""
    return {f"smtp_{key}": value for key, value in _smtp(smtp, alertmanager).items()}


def _integration(receiver: JobReceiver) -> Integration:
    match receiver.type:
        case ReceiverType.EMAIL:
            return Email(receiver.target)
        case ReceiverType.WEBHOOK:
            return Webhook(url=receiver.target)
        case ReceiverType.SLACK:
            return Slack(url_file=_secret_file(receiver))
        case ReceiverType.DISCORD:
            return Discord(_secret_file(receiver))


def _secret_file(receiver: JobReceiver) -> str:
    return str(PurePosixPath(SECRETS, f"receiver-{receiver.id}"))


def _secret(receiver: JobReceiver) -> str:
    target = receiver.target.rstrip("/")
    if receiver.type is ReceiverType.DISCORD and not target.endswith("/slack"):
        return f"{target}/slack\n"
    return f"{target}\n"


def _entry(
    name: str,
    integrations: Iterable[Integration],
    alertmanager: Alertmanager,
    smtp: Smtp | None,
    *,
    resolved: bool = True,
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name}
    for integration in integrations:
        key, config = _config(integration, alertmanager, smtp)
        entry.setdefault(key, []).append({**config, "send_resolved": resolved})
    return entry


def _config(
    integration: Integration, alertmanager: Alertmanager, smtp: Smtp | None
) -> tuple[str, dict[str, Any]]:
    match integration:
        case Email(to):
            by = _smtp(smtp, alertmanager) if smtp else {}
            return "email_configs", {
                "to": to,
                **by,
                "headers": {"Subject": _SUBJECT},
                "text": '{{ template "afterrun.text" . }}',
                "html": '{{ template "afterrun.html" . }}',
            }
        case Slack(channel=channel, url_file=url_file):
            return "slack_configs", _slack(channel, _path(url_file, alertmanager))
        case Discord(url_file):
            # Alertmanager 0.25 knows Discord, and its URL in plain text alone.
            # Discord understands what is meant for Slack.
            return "slack_configs", _slack("", _path(url_file, alertmanager))
        case Webhook(url=url, authorization_file=token, max_alerts=most):
            file = {"credentials_file": _path(token, alertmanager)}
            http = {"http_config": {"authorization": file}} if token else {}
            limit = {"max_alerts": most} if most else {}
            return "webhook_configs", {"url": url, **http, **limit}
        case PagerDuty(routing_key_file):
            return "pagerduty_configs", {
                "routing_key_file": _path(routing_key_file, alertmanager),
                "description": _SUBJECT,
                "client": "AfterRun",
                "client_url": _TITLE_LINK,
                "class": "{{ .CommonLabels.alertname }}",
                "component": "{{ .CommonLabels.job_name }}",
                "severity": "{{ if eq .CommonLabels.severity "
                '"critical" "warning" "info" }}{{ .CommonLabels.severity }}'
                "{{ else }}error{{ end }}",
                "details": {"text": '{{ template "afterrun.text" . }}'},
            }


def _slack(channel: str, url_file: str) -> dict[str, Any]:
    where = {"api_url_file": url_file, "channel": channel}
    return {
        **{key: value for key, value in where.items() if value},
        "color": '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}',
        "title": _SUBJECT,
        "title_link": _TITLE_LINK,
        "text": '{{ template "afterrun.slack" . }}',
        "fallback": _SUBJECT,
    }


def _smtp(smtp: Smtp, alertmanager: Alertmanager) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "smarthost": smtp.smarthost,
        "from": smtp.sender,
        "require_tls": smtp.require_tls,
    }
    if smtp.auth_username:
        keys["auth_username"] = smtp.auth_username
    if smtp.auth_password_file:
        keys["auth_password_file"] = _path(smtp.auth_password_file, alertmanager)
    return keys


def _path(file: str, alertmanager: Alertmanager) -> str:
    """Return a path of *file* that Alertmanager finds.

    Alertmanager resolves most such paths relative to its working directory, not to its
    configuration, so the path is absolute if possible.
    """
    config = PurePosixPath(alertmanager.config_file)
    return str(config.parent / file) if file and config.is_absolute() else file
