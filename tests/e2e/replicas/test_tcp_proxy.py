"""The network between a replica and the database fails as a test wants it to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.daemon.daemon import HOST
from tests.e2e.replicas.tcp_proxy import TcpProxy
from tests.patience import PATIENCE


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy in front of a server that sends back what it gets."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    threading.Thread(target=echo, args=(peer,)).start()

        threading.Thread(target=serve, daemon=True).start()
        with TcpProxy(server.getsockname()[1]) as proxy:
            yield proxy
        server.shutdown(socket.SHUT_RDWR)


def echo(peer: socket.socket) -> None:
    with peer, suppress(OSError):
        while data := peer.recv(100):
            peer.sendall(data)


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    """A connection through the proxy that works."""
    with socket.create_connection((HOST, proxy.port), PATIENCE) as client:
        assert echoed(client)
        yield client


def echoed(client: socket.socket) -> bool:
    """Return True if what is sent comes back."""
    client.sendall(b"ping")
    return client.recv(100) == b"ping"


def test_a_cut_resets_connections_and_accepts_new_ones(
    proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.cut()

    with pytest.raises(ConnectionResetError):
        echoed(client)
    with socket.create_connection((HOST, proxy.port), PATIENCE) as another:
        assert echoed(another)


def test_refused_connections_are_accepted_when_it_is_healed(
    proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        echoed(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), PATIENCE)

    proxy.heal()
    with socket.create_connection((HOST, proxy.port), PATIENCE) as another:
        assert echoed(another)


def test_a_freeze_delivers_everything_later(
    proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.freeze()
    client.sendall(b"ping")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)

    proxy.heal()
    client.settimeout(PATIENCE)
    assert client.recv(100) == b"ping"


def test_a_delay_is_for_each_direction(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.delay(0.2)
    began = time.monotonic()

    assert echoed(client)
    assert time.monotonic() - began >= 0.4
