"""Listening sockets that systemd passes to the daemon (socket activation)."""

from __future__ import annotations

import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.server.addresses import Address

FLAG: Final = "--web.systemd-socket"
#: The number of the first one.
FIRST: Final = 3

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class PassedSocket:
    """A listening socket of another process, which stays open when listeners close."""

    socket: socket.socket

    @property
    def host(self) -> str | None:
        """The address that it is bound to; None for every interface, and for a path."""
        return self._address().host

    def url(self, scheme: str = "http") -> str:
        """Return the URL for clients on this machine, which find a path by `path`."""
        return self._address().url(scheme)

    @property
    def path(self) -> str:
        """The path of a Unix socket; "" for others. An abstract one begins with @."""
        if self.socket.family != socket.AF_UNIX:
            return ""
        name = self.socket.getsockname()
        return name if isinstance(name, str) else name.decode().replace("\0", "@", 1)

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        return self.socket.family == socket.AF_UNIX or self._address().is_loopback

    def _address(self) -> Address:
        if self.socket.family == socket.AF_UNIX:
            return Address(None, 0)
        host, port, *_ = self.socket.getsockname()
        return Address(None if host in {"0.0.0.0", "::"} else host, port)  # noqa: S104

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else str(self._address())


#: A place to listen at.
Bind = Address | PassedSocket


def passed_sockets(
    environment: MutableMapping[str, str], process: int
) -> Sequence[PassedSocket]:
    """Return the sockets that systemd has passed to *process*.

    Removes their variables from *environment*, as they are for this process alone. Raises
    ValueError if there is none, or with all that cannot be used.
    """
    for_process, count, _ = (environment.pop(name, "") for name in _VARIABLES)
    if not count:
        raise ValueError(
            f"{FLAG}: systemd has passed no socket (LISTEN_FDS is not set): start the "
            "daemon by a .socket unit, or remove the flag"
        )
    if for_process != str(process):
        raise ValueError(
            f"{FLAG}: the sockets are for another process (LISTEN_PID is "
            f"{for_process!r}, this is {process}): start afterrun itself in ExecStart=, "
            "without a shell"
        )
    if not count.isdecimal() or not int(count):
        raise ValueError(f"{FLAG}: LISTEN_FDS {count!r} is not a number of sockets")
    result: list[PassedSocket] = []
    problems = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            result.append(_passed(number))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return result


def _passed(number: int) -> PassedSocket:
    try:
        passed = socket.socket(fileno=number)
        is_listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ValueError(
            f"{FLAG}: file descriptor {number} is no socket: {error.strerror}"
        ) from None
    if passed.type != socket.SOCK_STREAM or not is_listening:
        passed.detach()
        raise ValueError(
            f"{FLAG}: file descriptor {number} does not listen for connections: use "
            "ListenStream= and Accept=no in the .socket unit"
        )
    passed.set_inheritable(False)
    return PassedSocket(passed)
