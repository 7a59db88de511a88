"""A daemon with the sockets of systemd, its prefix, and its end by a request."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.e2e.daemon.daemon import AFTERRUN, PATIENT_STOP
from tests.patience import PATIENCE

#: Becomes the daemon, with its first argument as file descriptor 3, as systemd does.
START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def answer(url: str, data: bytes | None = None) -> str:
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:  # noqa: S310
        text: str = response.read().decode()
        return text


def test_a_passed_socket_is_served_and_a_restart_refuses_nothing(
    tmp_path: Path,
) -> None:
    """Clients wait in its queue while no daemon runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/afterrun"
        os.set_inheritable(bound.fileno(), True)
        command = [
            *(sys.executable, "-c", START, str(bound.fileno()), str(AFTERRUN), "serve"),
            f"--storage.path={tmp_path / 'afterrun.db'}",
            *("--web.systemd-socket", "--web.enable-lifecycle"),
            *("--web.route-prefix=/afterrun", "--web.disable-exporter-metrics"),
            PATIENT_STOP,
        ]
        for number in (1, 2):
            log = tmp_path / f"log-{number}"
            with log.open("wb") as output:
                daemon = subprocess.Popen(
                    command, stdout=output, stderr=output, pass_fds=[bound.fileno()]
                )
            try:
                # It waits until the daemon accepts.
                text = answer(f"{url}/ping/backup?run_id={number}", b"{}")
                assert '"outcome":"ok"' in text.replace(" ", "")
                metrics = answer(f"{url}/metrics")
                total = f'afterrun_job_runs_total{{job_name="backup"}} {number}'
                assert total in metrics
                assert "process_" not in metrics
                assert "is stopping" in answer(f"{url}/-/quit", b"")
                assert daemon.wait(PATIENCE) == 0
            finally:
                daemon.kill()
                daemon.wait()
            assert "msg=stopped" in log.read_text()
