"""Completion of the names of jobs, from the daemon."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlencode

import click
from click.shell_completion import CompletionItem

from afterrun_exporter.client.settings import find_token
from afterrun_exporter.client.transport import Transport
from afterrun_exporter.client.urls import DEFAULT_URL

#: The timeout in seconds: a person waits for the prompt.
PATIENCE: Final = 1.0
MOST: Final = 1000


def complete_jobs(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Return the jobs whose names start with *incomplete*; none if the daemon is down."""
    url = ctx.params.get("url") or os.environ.get("AFTERRUN_URL") or DEFAULT_URL
    query = {"limit": MOST, **({"q": incomplete} if incomplete else {})}
    try:
        token = find_token(os.environ, ctx.params.get("token_file"), lambda _: None)
        response = Transport(url, token).request(
            "GET", f"/api/v1/jobs?{urlencode(query)}", PATIENCE
        )
        names = [str(job["name"]) for job in response.document["jobs"]]
    except Exception:  # noqa: BLE001 - a message would garble the prompt
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
