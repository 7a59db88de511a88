"""What a web configuration says, in the words of this program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class ClientAuth(Enum):
    """What is asked of a client's certificate."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """Something in PEM: in a file, or here."""

    path: Path | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """How connections are encrypted, and who may make one."""

    cert: Pem
    key: Pem
    client_auth: ClientAuth = ClientAuth.NONE
    #: None for those whom the system trusts.
    client_ca: Pem | None = None
    #: Names of which a client's certificate must have one; None for any.
    client_sans: frozenset[str] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    #: As OpenSSL calls them, for TLS 1.2; none for its own choice.
    ciphers: tuple[str, ...] = ()
    prefer_ours: bool = True
    #: As OpenSSL calls it.
    curve: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The whole of a web configuration."""

    tls: TLS | None = None
    #: Headers that every answer gets.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Users, and bcrypt hashes of their passwords.
    users: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """The other files that it is made of."""
        tls = self.tls
        pems = (tls.cert, tls.key, tls.client_ca) if tls else ()
        return tuple(pem.path for pem in pems if pem is not None and pem.path)
