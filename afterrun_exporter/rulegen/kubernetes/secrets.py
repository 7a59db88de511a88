"""Secrets of receivers: files of afterrun.yml as keys of one Secret.

The key of a file is its name. Alertmanager finds the Secret as a folder, or
prometheus-operator reads the key.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from afterrun_exporter.core.kubernetes import Kubernetes
from afterrun_exporter.core.routing import (
    Alertmanager,
    Discord,
    Email,
    Integration,
    PagerDuty,
    Slack,
    Webhook,
)
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen.receivers import secret_of

#: The folder of Alertmanager in which prometheus-operator mounts each of its `secrets`.
_FOLDER: Final = "/etc/alertmanager/secrets"

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def key_of(file: str) -> str:
    """Return the key of *file*."""
    return PurePosixPath(file).name


def keys(alertmanager: Alertmanager) -> dict[str, str]:
    """Return the file of each key.

    Raises GenerateError if a name is no key, or if two files have the same name.
    """
    by_key: defaultdict[str, set[str]] = defaultdict(set)
    for file in _files(alertmanager):
        by_key[key_of(file)].add(file)
    problems = []
    for key, files in sorted(by_key.items()):
        paths = " and ".join(repr(file) for file in sorted(files))
        if not _KEY.fullmatch(key) or key in {".", ".."}:
            problems.append(
                f"the name of {paths} cannot be the key of a Secret: use letters, "
                "digits, -, _ and ."
            )
        elif len(files) > 1:
            problems.append(
                f"{paths} would be the same key {key!r} of a Secret: give the files of "
                "secrets different names"
            )
    if problems:
        raise GenerateError("; ".join(problems))
    return {key: min(files) for key, files in sorted(by_key.items())}


def mounted(alertmanager: Alertmanager, secret: str) -> Alertmanager:
    """Return *alertmanager* with paths of *secret* as Alertmanager's pod has it."""
    keys(alertmanager)

    def path(file: str) -> str:
        return f"{_FOLDER}/{secret}/{key_of(file)}" if file else ""

    def moved(way: Integration) -> Integration:
        match way:
            case Slack(url_file=file) | Discord(url_file=file):
                return replace(way, url_file=path(file))
            case Webhook(authorization_file=file):
                return replace(way, authorization_file=path(file))
            case PagerDuty(routing_key_file=file):
                return replace(way, routing_key_file=path(file))
            case Email():
                return way

    smtp = alertmanager.smtp
    return replace(
        alertmanager,
        smtp=smtp and replace(smtp, auth_password_file=path(smtp.auth_password_file)),
        receivers=tuple(
            replace(one, integrations=tuple(map(moved, one.integrations)))
            for one in alertmanager.receivers
        ),
    )


def instruction(settings: Kubernetes, alertmanager: Alertmanager) -> str:
    """Return the command that creates the Secret; "" if none is needed."""
    files = keys(alertmanager)
    if not files:
        return ""
    namespace = f" --namespace {settings.namespace}" if settings.namespace else ""
    options = "".join(
        f" \\\n    --from-file={key}={file}" for key, file in files.items()
    )
    return (
        "The secrets of receivers are not in this file:\n"
        f"  kubectl create secret generic {settings.secret}{namespace}{options}"
    )


def _files(alertmanager: Alertmanager) -> list[str]:
    smtp = alertmanager.smtp
    files = [smtp.auth_password_file] if smtp else []
    files += [
        secret_of(way)
        for receiver in alertmanager.receivers
        for way in receiver.integrations
    ]
    return [file for file in files if file]
