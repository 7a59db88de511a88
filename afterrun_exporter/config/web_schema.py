"""Schema of the web configuration file, in the format of Prometheus exporters.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from afterrun_exporter.auth.web_config import ClientAuth
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import Line, ListOf, MappingOf, NotEmpty, one_of
from afterrun_exporter.validation_messages import quote

#: Names of cipher suites in Go, and in OpenSSL.
CIPHERS: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
#: Cipher suites of TLS 1.3, which are always enabled.
CIPHERS_13: Final = frozenset(
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
)
CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
#: Types that accept unverified certificates, which Python's TLS cannot do.
_UNVERIFIED: Final = frozenset(
    {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
)

#: The maximum cost: a login takes about a second, doubled by each step above.
MOST_COST: Final = 14

_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


def _secret(value: object) -> str:
    # Not quoted, because it may be a secret.
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text in quotes")
    return value


def _hash(value: object) -> str:
    if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
        raise ValueError(
            "is not a bcrypt hash, such as `htpasswd -nBC 10 \"\" | tr -d ':\\n'` makes"
        )
    if (cost := int(value[4:6])) > MOST_COST:
        raise ValueError(
            f"has a cost of {cost}: a login would take too long; make one with a cost "
            f"of 10 to {MOST_COST}"
        )
    return value


def _user(name: str) -> str:
    if ":" in name:
        raise ValueError(f"{quote(name)} has a colon: no client can send such a name")
    return name


def _client_auth(text: str) -> str:
    if text in _UNVERIFIED:
        raise ValueError(
            f"{text!r} is not supported, as certificates are always verified: use "
            f"{ClientAuth.IF_GIVEN.value} or {ClientAuth.REQUIRED.value}"
        )
    return text


def _version(text: str) -> str:
    if text in {"TLS10", "TLS11"}:
        raise ValueError(
            f"{text} is not supported, as it is insecure: use TLS12 or TLS13"
        )
    return text


def _curves(curves: tuple[str, ...]) -> tuple[str, ...]:
    if len(curves) > 1:
        raise ValueError("only one curve is supported: list one, or none")
    return curves


#: The reasons why keys of other exporters have no effect.
_NO_HTTP2: Final = "HTTP/2 is not supported: connections use HTTP/1.1"
_NO_RATE_LIMIT: Final = (
    "is not supported, as jobs would lose reports: --web.max-requests and "
    "--web.max-connections limit concurrency"
)


Version = Annotated[Literal["TLS12", "TLS13"], BeforeValidator(_version)]
Secret = Annotated[str, BeforeValidator(_secret)]
_Cipher = Annotated[str, one_of("cipher", (*CIPHERS, *CIPHERS_13))]
_Curve = Annotated[str, one_of("curve", CURVES)]
_ClientAuthType = Annotated[
    str,
    AfterValidator(_client_auth),
    one_of("value", [one.value for one in ClientAuth]),
]


class TLSSpec(Spec):
    """``tls_server_config:``."""

    cert: Annotated[str | None, NotEmpty] = None
    key: Secret | None = None
    client_ca: Annotated[str | None, NotEmpty] = None
    cert_file: Annotated[Line | None, NotEmpty] = None
    key_file: Annotated[Line | None, NotEmpty] = None
    client_auth_type: _ClientAuthType = "NoClientCert"
    client_ca_file: Annotated[Line | None, NotEmpty] = None
    client_allowed_sans: Annotated[tuple[Line, ...] | None, ListOf] = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: Annotated[tuple[_Cipher, ...], ListOf] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[_Curve, ...], ListOf, AfterValidator(_curves)
    ] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> TLSSpec:
        wrong = "; ".join(self._contradictions())
        if wrong:
            raise ValueError(wrong)
        return self

    def _contradictions(self) -> list[str]:
        problems = []
        for name in ("cert", "key"):
            keys = [one for one in (name, f"{name}_file") if getattr(self, one)]
            if not keys:
                problems.append(f"{name}_file is missing")
            if len(keys) > 1:
                problems.append(f"{name} and {name}_file are the same: remove one")
        if self.client_ca and self.client_ca_file:
            problems.append("client_ca and client_ca_file are the same: remove one")
        if self.client_auth_type == ClientAuth.NONE.value and (
            self.client_ca or self.client_ca_file
        ):
            problems.append("client_ca_file has no effect without a client_auth_type")
        if self.client_allowed_sans is not None and (
            self.client_auth_type != ClientAuth.REQUIRED.value
        ):
            problems.append(
                "client_allowed_sans needs client_auth_type "
                f"{ClientAuth.REQUIRED.value}: others accept clients without one"
            )
        if self.min_version > self.max_version:
            problems.append("min_version is above max_version")
        return problems


class HeadersSpec(Spec):
    """``headers:`` of every response."""

    csp: Annotated[Line | None, NotEmpty] = Field(None, alias="Content-Security-Policy")
    frames: Annotated[Literal["deny", "sameorigin"] | None, NotEmpty] = Field(
        None, alias="X-Frame-Options"
    )
    types: Annotated[Literal["nosniff"] | None, NotEmpty] = Field(
        None, alias="X-Content-Type-Options"
    )
    xss: Annotated[Line | None, NotEmpty] = Field(None, alias="X-XSS-Protection")
    hsts: Annotated[Line | None, NotEmpty] = Field(
        None, alias="Strict-Transport-Security"
    )


class HTTPSpec(Spec):
    """``http_server_config:``."""

    http2: bool = False
    headers: HeadersSpec = HeadersSpec()


class RateLimitSpec(Spec):
    """``rate_limit:``, which has no effect."""

    interval: Annotated[Line | None, NotEmpty] = None
    burst: int = 0


class WebSpec(Spec):
    """The whole of a web configuration."""

    tls_server_config: TLSSpec | None = None
    http_server_config: HTTPSpec = HTTPSpec()
    basic_auth_users: Annotated[
        dict[
            Annotated[Line, AfterValidator(_user)],
            Annotated[str, BeforeValidator(_hash)],
        ],
        MappingOf,
    ] = Field(default_factory=dict)
    rate_limit: RateLimitSpec | None = None

    def ignored(self) -> Iterator[tuple[str, str]]:
        """Yield each key that has no effect, and the reason."""
        if self.http_server_config.http2:
            yield "http_server_config.http2", _NO_HTTP2
        if self.rate_limit is not None:
            yield "rate_limit", _NO_RATE_LIMIT
