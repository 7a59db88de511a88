"""Certificates for a test, and a daemon that shows them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from afterrun_exporter.cli.web_config import WebFile
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.listen import listening
from afterrun_exporter.server.security import SecuritySettings
from tests.e2e.network import free_port
from tests.fakes import ManualClock
from tests.http import app_of

#: An elliptic curve: making one takes no time.
EC = trustme.KeyType.ECDSA

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Papers:
    """A folder with a web configuration, and whose certificates it is about."""

    folder: Path
    ca: trustme.CA = field(default_factory=lambda: trustme.CA(key_type=EC))

    @property
    def file(self) -> Path:
        return self.folder / "web.yml"

    def issue(self, *names: str) -> None:
        """Give the server a new certificate."""
        made = self.ca.issue_cert(*(names or ("localhost",)), key_type=EC)
        # As somebody does who is careful: one after the other, each at once.
        for name, pem in (
            ("server.key", made.private_key_pem.bytes()),
            ("server.crt", b"".join(one.bytes() for one in made.cert_chain_pems)),
        ):
            new = self.folder / f"{name}.new"
            new.write_bytes(pem)
            new.chmod(0o600)
            new.replace(self.folder / name)

    def write(self, *lines: str, more: str = "") -> Path:
        """Write a configuration with *lines* in its section on TLS."""
        (self.folder / "ca.crt").write_bytes(self.ca.cert_pem.bytes())
        tls = ("cert_file: server.crt", "key_file: server.key", *lines)
        section = "".join(f"  {line}\n" for line in tls)
        self.file.write_text(f"tls_server_config:\n{section}{more}")
        return self.file

    def client(self, *names: str, of: trustme.CA | None = None) -> ssl.SSLContext:
        """Return what a client goes by; with *names* it has a certificate itself."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if names:
            issuer = of or self.ca
            issuer.issue_cert(*names, key_type=EC).configure_cert(context)
        return context


@dataclass
class Encrypted:
    """A daemon that listens with TLS."""

    port: int
    web_file: WebFile
    security: SecuritySettings

    async def connect(self, context: ssl.SSLContext | None) -> Stream:
        host = "localhost" if context else None
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=host
        )

    async def get(self, stream: Stream, path: str = "/-/healthy") -> str:
        """Return the first line of an answer; "" where there is none."""
        reader, writer = stream
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return ""
        return head.decode().split("\r\n")[0]

    async def asked(self, context: ssl.SSLContext | None) -> str:
        """Return the first line of an answer on a new connection; "" for none."""
        try:
            stream = await self.connect(context)
        except OSError:
            return ""
        try:
            return await self.get(stream)
        finally:
            stream[1].close()

    async def shown(self, context: ssl.SSLContext) -> Any:
        """Return the certificate that the next handshake shows."""
        _, writer = await self.connect(context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return certificate


Open = Callable[..., Any]


@asynccontextmanager
async def encrypted(
    file: Path,
    service: Service,
    clock: ManualClock,
    limits: Limits | None = None,
    *,
    fast: bool = True,
) -> AsyncIterator[Encrypted]:
    """Yield a daemon that goes by the web configuration in *file*."""
    security = SecuritySettings()
    web_file = WebFile(file, security)
    web_file.apply(await web_file.read())
    app = app_of(service, clock, security=security)
    port = free_port()
    async with listening(app, [Address("127.0.0.1", port)], clock, limits, fast=fast):
        yield Encrypted(port, web_file, security)
