"""The common context of all pages: addresses and version."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from afterrun_exporter.auth.form_tokens import Forms
from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.conventions import ALERT_OF, DEFAULT_PORT
from afterrun_exporter.core.commits import short_commit
from afterrun_exporter.page.assets import ADDRESSES
from afterrun_exporter.page.times import moment

#: Host names that are safe in a shell.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

#: Anchors of the sections of the runbook by condition.
ANCHORS: Final = {condition: name.lower() for condition, name in ALERT_OF.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The external address of the daemon and the common context of pages."""

    version: str
    #: Returns the commit of the configuration that is in use, "" if it is in none.
    config_commit: Callable[[], str] = str
    #: The URL for jobs and browsers; "" to derive it from the request.
    external_url: str = ""
    telemetry_path: str = "/metrics"
    #: CSRF protection.
    guard: Forms

    def base(self, request: web.BaseRequest) -> str:
        """Return the relative path from the requested page to the root.

        It is relative, so that a proxy may serve the pages under any prefix.
        """
        prefix = urlsplit(self.external_url).path.rstrip("/")
        if prefix:
            return f"{prefix}/"
        return "../" * (request.rel_url.raw_path.count("/") - 1) or "./"

    def url(self, request: web.BaseRequest) -> str:
        """Return the URL for jobs, without a trailing slash."""
        if self.external_url:
            return self.external_url.rstrip("/")
        if _HOST.fullmatch(request.host):
            return f"{request.scheme}://{request.host}{prefix_of(request)}"
        return f"http://localhost:{DEFAULT_PORT}{prefix_of(request)}"

    def common(self, request: web.BaseRequest, now: float) -> dict[str, Any]:
        """Return the context of the base template."""
        base = self.base(request)
        return {
            "base": base,
            "asset": {name: f"{base}{where}" for name, where in ADDRESSES.items()},
            "as_of": moment(now, now),
            "version": self.version,
            "config_commit": short_commit(self.config_commit()),
            "telemetry": f"{base}{self.telemetry_path.lstrip('/')}",
            "anchors": ANCHORS,
            "token": self.guard.token(request),
        }
