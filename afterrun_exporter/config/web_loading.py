"""Loading of a web configuration file, or of a list of all its problems."""

from __future__ import annotations

from pathlib import Path as FilePath

from pydantic import ValidationError

from afterrun_exporter.auth.web_config import TLS, ClientAuth, Pem, WebConfig
from afterrun_exporter.config import document
from afterrun_exporter.config.loading import located
from afterrun_exporter.config.source import read_text
from afterrun_exporter.config.web_schema import (
    CIPHERS,
    CURVES,
    TLSSpec,
    WebSpec,
)
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.validation_messages import findings


def load_web(path: FilePath) -> tuple[str, WebConfig]:
    """Return the text of the file at *path* and its configuration.

    Raises ConfigError with all problems. Files that it refers to are not read.
    """
    text = read_text(path)
    try:
        parsed = document.read(text)
    except document.NotYAMLError as error:
        raise ConfigError(str(path), error.problems) from None
    data = {} if parsed.data is None else parsed.data
    try:
        spec = WebSpec.model_validate(data)
    except ValidationError as error:
        wrong = located(text, [*findings(WebSpec, data, error)])
        raise ConfigError(str(path), (*parsed.problems, *wrong)) from None
    if parsed.problems:
        raise ConfigError(str(path), parsed.problems)
    tls = spec.tls_server_config
    return text, WebConfig(
        tls=_tls(tls, path.parent) if tls else None,
        headers=spec.http_server_config.headers.model_dump(
            by_alias=True, exclude_none=True
        ),
        users=spec.basic_auth_users,
        ignored=tuple(spec.ignored()),
    )


def _tls(spec: TLSSpec, beside: FilePath) -> TLS:
    named = spec.cipher_suites
    ciphers = tuple(CIPHERS[name] for name in named if name in CIPHERS)
    # Only cipher suites of TLS 1.3 are listed, so only TLS 1.3 is offered.
    min_version = "TLS13" if named and not ciphers else spec.min_version
    ca = None
    if spec.client_ca_file or spec.client_ca:
        ca = _pem(spec.client_ca_file, spec.client_ca, beside)
    sans = spec.client_allowed_sans
    return TLS(
        cert=_pem(spec.cert_file, spec.cert, beside),
        key=_pem(spec.key_file, spec.key, beside),
        client_auth=ClientAuth(spec.client_auth_type),
        client_ca=ca,
        client_sans=None if sans is None else frozenset(sans),
        min_version=min_version,
        max_version=spec.max_version,
        ciphers=ciphers,
        prefer_ours=spec.prefer_server_cipher_suites,
        curve=CURVES[spec.curve_preferences[0]] if spec.curve_preferences else None,
    )


def _pem(file: str | None, text: str | None, beside: FilePath) -> Pem:
    return Pem(path=beside / file) if file else Pem(text=text or "")
