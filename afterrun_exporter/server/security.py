"""Security settings that apply to every request and response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from afterrun_exporter.auth.authenticator import Authenticator
from afterrun_exporter.auth.hosts import Hosts
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.server.headers import Headers
from afterrun_exporter.server.tls import Certificates


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """Authentication, trusted proxies and hosts, response headers and certificates.

    The object stays the same over reloads; its parts are reconfigured in place.
    """

    authenticator: Authenticator = field(default_factory=Authenticator)
    headers: Headers = field(default_factory=Headers)
    proxies: Proxies = field(default_factory=Proxies)
    hosts: Hosts = field(default_factory=Hosts)
    certificates: Certificates = field(default_factory=Certificates)


#: The settings of an application.
SECURITY: Final[web.AppKey[SecuritySettings]] = web.AppKey("security")
