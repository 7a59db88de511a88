"""Settings of a web configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class ClientAuth(Enum):
    """Requirements for client certificates."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """PEM data, inline or in a file."""

    path: Path | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Encryption of connections, and the accepted client certificates."""

    cert: Pem
    key: Pem
    client_auth: ClientAuth = ClientAuth.NONE
    #: None for the certificate authorities that the system trusts.
    client_ca: Pem | None = None
    #: Names, one of which a client certificate must have; None for any.
    client_sans: frozenset[str] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    #: OpenSSL's names of ciphers for TLS 1.2; empty for its defaults.
    ciphers: tuple[str, ...] = ()
    prefer_ours: bool = True
    #: OpenSSL's name of the curve.
    curve: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """A web configuration file."""

    tls: TLS | None = None
    #: Headers that are added to every response.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Users, and bcrypt hashes of their passwords.
    users: Mapping[str, str] = field(default_factory=dict)
    #: Keys that have no effect, each with the reason.
    ignored: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the configuration refers to."""
        tls = self.tls
        pems = (tls.cert, tls.key, tls.client_ca) if tls else ()
        return tuple(pem.path for pem in pems if pem is not None and pem.path)
