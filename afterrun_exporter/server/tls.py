"""TLS settings, and checks of client certificates."""

from __future__ import annotations

import asyncio
import platform
import ssl
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import structlog

from afterrun_exporter.auth.web_config import TLS, ClientAuth, Pem

VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}

log = structlog.get_logger()


class TLSError(Exception):
    """A certificate, a key or another setting cannot be used; *key* is its name."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


#: OpenSSL's names of TLS 1.2 ciphers with forward secrecy and authentication.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Certificates:
    """The server's certificate and the accepted client names, replaceable at runtime."""

    def __init__(self) -> None:
        #: The context of the next handshake; None without TLS.
        self.context: ssl.SSLContext | None = None
        self._sans: frozenset[str] | None = None

    def use(self, context: ssl.SSLContext | None, tls: TLS | None) -> None:
        """Use *context*, created from *tls*, from the next handshake on."""
        self.context = context
        self._sans = tls.client_sans if tls else None

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Return True if the client certificate of *transport* has an accepted name."""
        if self._sans is None:
            return True
        certificate = transport.get_extra_info("peercert") or {}
        cert_names = set(_names(certificate))
        if not cert_names.isdisjoint(self._sans):
            return True
        peer = transport.get_extra_info("peername")
        names = " ".join(sorted(cert_names))
        log.warning("client_certificate_refused", sender=str(peer), names=names)
        return False


def context_of(tls: TLS) -> ssl.SSLContext:
    """Return the context for *tls*; raise TLSError for what cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.min_version]
    context.maximum_version = VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    # No CBC suites in TLS 1.2.
    ciphers = ":".join(tls.ciphers) if tls.ciphers else CIPHERS
    _choose("cipher_suites", context.set_ciphers, ciphers)
    if not tls.prefer_ours:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.curve:
        _choose("curve_preferences", context.set_ecdh_curve, tls.curve)
    _load_chain(context, tls)
    context.verify_mode = _VERIFY[tls.client_auth]
    if tls.client_ca is not None:
        _load_ca(context, tls.client_ca)
    elif tls.client_auth is not ClientAuth.NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    # Trust each listed certificate, even an intermediate one.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _choose(key: str, choose: Callable[[str], None], value: str) -> None:
    """Call *choose*; raise TLSError if this Python or its OpenSSL lacks *value*.

    For example, Python 3.11.2 of Debian 12 lacks the curve X25519.
    """
    try:
        choose(value)
    except (ssl.SSLError, ValueError):
        python = platform.python_version()
        message = (
            f"Python {python} with {ssl.OPENSSL_VERSION} does not know {value}: choose "
            "another one, or remove the key"
        )
        raise TLSError(key, message) from None


def _load_chain(context: ssl.SSLContext, tls: TLS) -> None:
    with ExitStack() as stack:
        cert = stack.enter_context(_file(tls.cert, "cert"))
        key = stack.enter_context(_file(tls.key, "key"))
        try:
            # Without a password callback, OpenSSL would prompt on the terminal.
            context.load_cert_chain(cert, key, password=lambda: "")
        except ssl.SSLError as error:
            raise _bad_chain(error, cert, key) from None
        if tls.key.path is not None and key.stat().st_mode & stat.S_IROTH:
            log.warning("private_key_readable", path=str(key), way_out="chmod o-r")


def _bad_chain(error: ssl.SSLError, cert: Path, key: Path) -> TLSError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return TLSError("key_file", f"{key} is not the key of {cert}")
    if error.reason in {"NO_START_LINE", None} or error.library == "PEM":
        for name, path, marker, content in (
            ("cert_file", cert, "-----BEGIN CERTIFICATE-----", "certificate"),
            ("key_file", key, "PRIVATE KEY-----", "private key"),
        ):
            if marker not in path.read_text("utf-8", "replace"):
                return TLSError(name, f"{path} has no {content} in PEM")
        return TLSError("key_file", f"{key} cannot be read: is it encrypted?")
    reason = error.reason or str(error)
    return TLSError("cert_file", f"{cert} or {key} cannot be used: {reason}")


def _load_ca(context: ssl.SSLContext, ca: Pem) -> None:
    with _file(ca, "client_ca") as path:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError:
            message = f"{path} has no certificate in PEM"
            raise TLSError("client_ca_file", message) from None


@contextmanager
def _file(pem: Pem, name: str) -> Iterator[Path]:
    """Yield a private file with *pem*, because OpenSSL reads only files."""
    if pem.path is None:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(pem.text)
            file.flush()
            yield Path(file.name)
        return
    try:
        pem.path.read_bytes()
    except OSError as error:
        message = f"{pem.path} cannot be read: {error.strerror or error}"
        raise TLSError(f"{name}_file", message) from None
    yield pem.path


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    """Yield the alternative names of a certificate."""
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            # Normalize OpenSSL's spelling of IPv6 addresses.
            yield str(ip_address(value.strip()))
        elif kind in {"DNS", "URI", "email"}:
            yield value
