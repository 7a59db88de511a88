"""Record what an earlier version leaves behind, from its own code.

    git worktree add --detach /tmp/old COMMIT
    python -m tests.upgrades.record /tmp/old tests/upgrades/versions/DATE_COMMIT

The second folder has an `afterrun.yml` that the earlier version accepts. This adds its
database as SQL, the generated files and a report in the spool; with `postgres` as a
third argument, also a dump of a PostgreSQL database.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.postgres import running_server

MAIN: Final = "from afterrun_exporter.cli.main import main; main()"
PORT: Final = 10797
URL: Final = f"http://127.0.0.1:{PORT}"
#: The configurations of versions with tokens have its hash.
TOKEN: Final = "x"  # noqa: S105
#: A version without these answers 404 or 405.
OPTIONAL: Final = (
    ("POST", "/metrics/job/pushed", "rows_written 5\n"),
    ("POST", "/api/v1/jobs/sales-report/pause", "{}"),
)

BACKUP: Final = {"rows_processed": 100, "file_size_bytes": 48211}
#: The reports that every version gets, in order.
REPORTS: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("nightly-backup", {"status": "start", "run_id": "n1"}),
    ("nightly-backup", {"run_id": "n1", "metrics": BACKUP}),
    ("nightly-backup", {"run_id": "n2", "metrics": {**BACKUP, "rows_processed": 0}}),
    ("crm-sync", {"run_id": "c1", "exit_code": 1, "message": "503 from the CRM"}),
    ("crm-sync", {"run_id": "c2", "exit_code": 1, "message": "503 from the CRM"}),
    ("crm-sync", {"run_id": "c3", "status": "timeout"}),
    ("sales-report", {"run_id": "s1", "metrics": {"recipients": 7}}),
    ("reindex", {"status": "start", "run_id": "r1"}),
    ("unknown", {"metrics": {"rows": 5}}),
)


def main(old: Path, folder: Path, with_postgres: bool) -> None:
    """Record the version in *old*, for the configuration in *folder*."""
    with tempfile.TemporaryDirectory() as made:
        database = Path(made) / "afterrun.db"
        _run_daemon(old, folder, str(database))
        (folder / "afterrun.sql").write_text(_dump(database), "utf-8")
    if with_postgres:
        with running_server() as server:
            database_url = server.new_database().url
            _run_daemon(old, folder, database_url)
            (folder / "postgres.sql").write_text(_pg_dump(database_url), "utf-8")
    _generate(old, folder)
    _spool(old, folder)


def _run_daemon(old: Path, folder: Path, storage: str) -> None:
    config = f"--config.file={folder / 'afterrun.yml'}"
    flags = (f"--storage.path={storage}", f"--web.listen-address=127.0.0.1:{PORT}")
    daemon = subprocess.Popen(_command("serve", config, *flags), cwd=old)
    try:
        _wait()
        _report()
    finally:
        daemon.terminate()
        daemon.wait()


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", MAIN, *map(str, arguments)]


def _wait() -> None:
    while True:
        try:
            urllib.request.urlopen(f"{URL}/-/ready").close()  # noqa: S310
        except OSError:
            time.sleep(0.2)
        else:
            return


def _report() -> None:
    for job, fields in REPORTS:
        _send("POST", f"/ping/{job}", json.dumps(fields))
    for method, path, body in OPTIONAL:
        try:
            _send(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code not in {404, 405}:
                raise


def _send(method: str, path: str, body: str) -> None:
    request = urllib.request.Request(URL + path, body.encode(), method=method)  # noqa: S310
    request.add_header("Authorization", f"Bearer {TOKEN}")
    if path.startswith("/api/"):
        request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request).close()  # noqa: S310


def _dump(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        lines = [*connection.iterdump()]
        for name in ("user_version", "application_id"):
            ((number,),) = connection.execute(f"PRAGMA {name}")
            lines.append(f"PRAGMA {name} = {number};")
    return "\n".join(lines) + "\n"


def _pg_dump(url: str) -> str:
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = text.splitlines()
    # Comments, settings and commands of psql.
    left_out = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")
    return (
        "\n".join(one for one in lines if one and not one.startswith(left_out)) + "\n"
    )


def _generate(old: Path, folder: Path) -> None:
    """Generate from a copy: the first version looks for afterrun.yml beside it."""
    with tempfile.TemporaryDirectory() as made:
        shutil.copy(folder / "afterrun.yml", made)
        environment = {"PYTHONPATH": str(old), "PATH": "/usr/bin:/bin"}
        command = _command("generate", "--out", made)
        subprocess.run(command, cwd=made, env=environment, check=True)
        for name in (
            "rules/afterrun.rules.yml",
            "alertmanager/alertmanager.yml",
            "alertmanager/routes.test",
        ):
            if (Path(made) / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copy(Path(made) / name, folder / name)


def _spool(old: Path, folder: Path) -> None:
    """Report to a port that nobody listens to, if the version has a client."""
    if not (old / "afterrun_exporter/client").exists():
        return
    words = ("--url", "http://127.0.0.1:9", "--patience", "1s", "--run-id", "spooled")
    metrics = ("--metric", "rows_processed=50", "--metric", "file_size_bytes=4096")
    command = _command("ping", "nightly-backup", *words, *metrics)
    subprocess.run([*command, "--spool", folder / "spool"], cwd=old, check=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]).resolve(),
        Path(sys.argv[2]).resolve(),
        with_postgres=sys.argv[3:] == ["postgres"],
    )
