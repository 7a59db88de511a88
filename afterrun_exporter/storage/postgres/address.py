"""The address of a database: its URL as parameters of asyncpg."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.location import authority_of, split_url

#: Returns the password, None without one. Called for each connection.
Password = Callable[[], str | None]

#: Parameters that asyncpg reads.
_DRIVERS: Final = frozenset(
    {
        "gsslib",
        "krbsrvname",
        "passfile",
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
    }
)
#: Those that are paths of files.
_FILES: Final = frozenset({"passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"})
#: Parameters that have a place in the URL, too.
_PARTS: Final = frozenset({"database", "dbname", "host", "password", "port", "user"})
#: Settings of the session.
_SETTINGS: Final = frozenset({"application_name", "options", "search_path"})
#: Parameters of libpq that change nothing here.
_IGNORED: Final = frozenset(
    {
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
#: The parameter of this program: how a pooler in front of the database works.
POOLER: Final = "pooler"
TRANSACTION: Final = "transaction"

#: Values of `target_session_attrs` for servers that accept writes.
_WRITABLE: Final = ("any", "primary", "read-write")

_KNOWN: Final = _DRIVERS | _PARTS | _SETTINGS | _IGNORED | {POOLER, "channel_binding"}


class Host(NamedTuple):
    """A server; None for the default of asyncpg."""

    name: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        name = self.name or "the default host"
        if ":" in name:
            name = f"[{name}]"
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and how to connect to it. Its texts have no password."""

    name: str
    hosts: tuple[Host, ...]
    user: str | None
    database: str | None
    password: Password = field(repr=False)
    settings: Mapping[str, str]
    #: Parameters of asyncpg, as a URL without a host.
    parameters: str = field(repr=False)
    #: True if each transaction may use another connection of the server.
    is_pooled: bool
    _secrets: tuple[str, ...] = field(repr=False)

    def options(self, host: Host) -> dict[str, Any]:
        """Return the arguments of asyncpg for a connection to *host*."""
        return {
            "dsn": self.parameters,
            "host": host.name,
            "port": host.port,
            "user": self.user,
            "database": self.database,
            "password": self.password(),
        }

    def without_secrets(self, text: str) -> str:
        """Return *text* without the passwords of the URL."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def display_name(url: str) -> str:
    """Return *url* without its password and parameters, for messages and logs."""
    scheme, _, rest = url.partition("://")
    authority = authority_of(url)
    userinfo, at, hosts = authority.rpartition("@")
    user = userinfo.partition(":")[0]
    after = rest[len(authority) :]
    if "@" in after:
        # A password that is not percent-encoded may reach up to there.
        return f"{scheme}://..."
    path = after.partition("?")[0].partition("#")[0]
    return f"{scheme}://{user}{at}{hosts}{path}"


def address_of(url: str, password: Password = lambda: None) -> Address:
    """Return the database at *url*; *password* has precedence over its own one.

    Raises StorageError with all invalid parts, and without the password.
    """
    name = display_name(url)
    try:
        parts = split_url(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise StorageError(f"cannot use database {name}: the URL is invalid") from None
    if parts.fragment or "@" in parts.path + parts.query:
        # A part of a password may look like a port or a database.
        raise StorageError(
            f"cannot use database {name}: percent-encode special characters in the URL "
            "('@' as %40, '/' as %2F, '?' as %3F, '#' as %23)"
        )
    userinfo, _, netloc = parts.netloc.rpartition("@")
    user, has_password, text = userinfo.partition(":")
    secret = unquote(text) if has_password else query.get("password")
    try:
        hosts = _hosts(netloc, query.get("host", ""), query.get("port", ""))
        problems = [*_problems(query)]
    except ValueError as error:
        hosts, problems = (), [str(error), *_problems(query)]
    if parts.scheme not in {"postgresql", "postgres"}:
        problems.append("the URL must begin with postgresql://")
    if problems:
        raise StorageError(f"cannot use database {name}: {'; '.join(problems)}")
    driver = {key: value for key, value in query.items() if key in _DRIVERS and value}
    # A standby refuses writes, so another host is tried.
    driver.setdefault("target_session_attrs", "read-write")
    return Address(
        name,
        hosts,
        unquote(user) or query.get("user") or None,
        unquote(parts.path.removeprefix("/"))
        or query.get("dbname")
        or query.get("database")
        or None,
        lambda: _password(password, secret),
        {key: query[key] for key in _SETTINGS & query.keys()},
        f"postgresql://?{urlencode(driver)}",
        query.get(POOLER) == TRANSACTION,
        tuple(_secrets(secret, text, query.get("sslpassword"))),
    )


def _password(password: Password, secret: str | None) -> str | None:
    requested = password()
    return secret if requested is None else requested


def _secrets(*texts: str | None) -> Iterator[str]:
    """Yield the forms in which secrets might be quoted, the longest first."""
    forms = {
        form
        for text in texts
        if text
        for form in (text, quote(text, safe=""), quote(text), quote_plus(text))
    }
    yield from sorted(forms, key=len, reverse=True)


def _hosts(netloc: str, names: str, ports: str) -> tuple[Host, ...]:
    """Return the hosts in a URL. Raises ValueError."""
    if netloc:
        return tuple(_host(one) for one in netloc.split(","))
    if names:
        numbers = ports.split(",") if ports else [""]
        if len(numbers) == 1:
            numbers *= len(names.split(","))
        if len(numbers) != len(names.split(",")):
            raise ValueError(f"host has {names!r}, but port has {ports!r}")
        pairs = zip(names.split(","), numbers, strict=True)
        return tuple(Host(name or None, _port(port)) for name, port in pairs)
    return (Host(port=_port(ports)),)


def _host(text: str) -> Host:
    """Return a host in a URL. Raises ValueError."""
    if "[" not in text and "]" not in text:
        name, _, port = text.partition(":")
        return Host(unquote(name) or None, _port(port))
    name, _, rest = text.removeprefix("[").partition("]")
    port = rest.removeprefix(":")
    try:
        IPv6Address(name)
        is_plain = text in {f"[{name}]", f"[{name}]:{port}"}
    except ValueError:
        is_plain = False
    if not is_plain:
        raise ValueError(f"the host {text!r} is no IPv6 address such as [::1]:5432")
    return Host(name, _port(port))


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise ValueError(f"the port {text!r} is not a number from 1 to 65535")
    return int(text)


def _problems(query: Mapping[str, str]) -> Iterator[str]:
    unknown = sorted(query.keys() - _KNOWN)
    if unknown and "password" in query:
        # It may be a part of the password.
        yield "unknown parameter; a password must be percent-encoded ('&' as %26)"
        unknown = []
    for key in unknown:
        yield f"unknown parameter {key[:60]!r}{did_you_mean(key, _KNOWN)}"
    if query.get(POOLER, TRANSACTION) != TRANSACTION:
        yield (
            f"{POOLER}={query[POOLER][:60]} is unknown: use {POOLER}={TRANSACTION} for "
            "any pooler"
        )
    for key in sorted(_FILES & query.keys()):
        # The driver does not name it, or goes on without it.
        if not Path(query[key]).is_file():
            yield f"{key}: there is no file {query[key][:200]!r}"
    if POOLER in query and "options" in query:
        yield f"options cannot be used with {POOLER}: use search_path"
    if query.get("channel_binding", "prefer") == "require":
        yield (
            "channel_binding=require is not supported: remove it, and use "
            "sslmode=verify-full so that nobody else can be the server"
        )
    if query.get("target_session_attrs", "read-write") not in _WRITABLE:
        yield (
            f"target_session_attrs={query['target_session_attrs'][:60]} allows a "
            "server that refuses writes: use read-write"
        )
