"""Small bodies that unpack to huge ones, sent by curl to a daemon with locks."""

from __future__ import annotations

import os
import subprocess
import time
import zlib
from pathlib import Path

from afterrun_exporter.core.secrets import digest
from tests.e2e.daemon.daemon import Daemon

TOKEN = "bomber"  # noqa: S105 - of this test alone
CONFIG = f"""\
auth:
  tokens:
    - {{name: ci, hash: "{digest(TOKEN)}", scopes: [ping, read]}}
"""
UNPACKED = 300 * 2**20

#: Requests that are answered without a look at their body, by method and path.
REFUSED = {
    ("POST", "/-/healthy"): 401,
    ("POST", "/ping/backup"): 401,
    ("PUT", "/metrics/job/backup"): 401,
    ("POST", "/nowhere"): 401,
    ("DELETE", "/ping/backup"): 401,
    ("POST", "/api/v1/check"): 401,
    ("GET", "/-/healthy"): 200,
}
#: Those with a token, of which no more is unpacked than fits.
ADMITTED = {
    ("POST", "/ping/backup"): 413,
    ("POST", "/ping"): 413,
    ("PUT", "/metrics/job/backup"): 413,
    ("POST", "/nowhere"): 404,
    ("DELETE", "/ping/backup"): 405,
    ("POST", "/api/v1/alerts"): 405,
}


def test_a_body_is_not_unpacked_before_it_is_known_to_be_worth_it(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.configure(CONFIG)
    daemon.start()
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(packed(UNPACKED))
    refused = [curl(daemon, *one, bomb) for one in REFUSED]
    admitted = [curl(daemon, *one, bomb, TOKEN) for one in ADMITTED]

    before = cpu_seconds(daemon.pid)
    running = [subprocess.Popen(one, stdout=subprocess.PIPE) for one in refused]
    running += [subprocess.Popen(one, stdout=subprocess.PIPE) for one in admitted]
    # Others are answered meanwhile.
    assert daemon.get("/-/healthy").status == 200
    statuses = [int(one.communicate()[0]) for one in running]
    spent = cpu_seconds(daemon.pid) - before

    assert statuses == [*REFUSED.values(), *ADMITTED.values()]
    assert spent < seconds_to_unpack(bomb.read_bytes())


def curl(
    daemon: Daemon, method: str, path: str, body: Path, token: str = ""
) -> list[str]:
    """Return the command that sends *body* and prints the status of the answer."""
    return [
        *("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"),
        *("--request", method, "--data-binary", f"@{body}"),
        *("--header", "Content-Encoding: gzip"),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
        daemon.url + path,
    ]


def packed(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    piece = bytes(2**20)
    pieces = [packer.compress(piece) for _ in range(size // len(piece))]
    return b"".join([*pieces, packer.flush()])


def seconds_to_unpack(body: bytes) -> float:
    """Return the CPU time of unpacking all of *body* once on this machine."""
    before = time.process_time()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    rest = body
    while not unpacker.eof:
        unpacker.decompress(rest, 2**16)
        rest = unpacker.unconsumed_tail
    return time.process_time() - before


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
