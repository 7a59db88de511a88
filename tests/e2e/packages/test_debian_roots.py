"""The Debian packages in clean roots: installed, started, removed, purged.

AFTERRUN_DEBS names a folder with packages; without it they are built first. A root has no
systemd: the command of the unit runs by hand, with its flags, as its user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.network import free_port, get, wait_for
from tests.e2e.packages.sources import ROOT, build, run

DEBIAN_ROOT: Final = ROOT / "scripts/debian-root.sh"
#: The number that the packages for a suite have in their version.
SUITES: Final = {"bookworm": "deb12", "trixie": "deb13"}
UNIT: Final = "usr/lib/systemd/system/afterrun.service"
#: Makes an older package, with other comments in its configuration.
OLDER: Final = r"""
cd /root && dpkg-deb -R afterrun.deb older
sed -i 's/^Version: .*/Version: 0.0.1-1/' older/DEBIAN/control
echo '# Older.' | tee -a older/etc/default/afterrun >>older/etc/afterrun/afterrun.yml
dpkg-deb --root-owner-group -Znone -b older older.deb && rm -r older
"""
#: Making a root, and installing Python in it, on a busy machine.
PATIENCE: Final = 1800

pytestmark = pytest.mark.slow


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """A Debian release."""
    assert os.geteuid() == 0, "making a Debian root needs root: sudo make deb-test"
    return str(request.param)


@pytest.fixture
def package(suite: str, tmp_path: Path) -> Path:
    """The package for the suite."""
    folder = Path(os.environ.get("AFTERRUN_DEBS", tmp_path / "debs"))
    if not [*folder.glob(f"*~{SUITES[suite]}_*.deb")]:
        (wheel,) = build(ROOT, tmp_path / "wheel", "wheel")
        run(ROOT / "scripts/build-deb-for.sh", suite, wheel, folder, folder=ROOT)
    (found,) = folder.glob(f"*~{SUITES[suite]}_*.deb")
    return found


@pytest.fixture
def root(suite: str) -> Iterator[Path]:
    """A minimal Debian, without Python."""
    folder = Path(tempfile.mkdtemp(prefix="afterrun-root-"))
    run(DEBIAN_ROOT, "make", suite, folder, folder=ROOT)
    assert not (folder / "usr/bin/python3").exists()
    yield folder
    shutil.rmtree(folder)


def test_it_is_installed_works_and_is_removed(root: Path, package: Path) -> None:
    before = files(root)
    shutil.copy(package, root / "root/afterrun.deb")
    within(root, "apt-get -qq update && apt-get -qq install /root/afterrun.deb")
    assert "afterrun, version" in within(root, "afterrun --version")
    assert within(root, "stat -c %U:%a /var/lib/afterrun") == "afterrun:700\n"
    assert "afterrun.service" in "".join(files(root))

    port = free_port()
    flags = root / "etc/default/afterrun"
    flags.write_text(f'ARGS="--web.listen-address=127.0.0.1:{port}"\n')
    check_main_job(root, port)

    within(root, "apt-get -qq remove afterrun-exporter")
    assert not (root / "opt/afterrun").exists()
    assert not (root / "usr/bin/afterrun").is_symlink()
    assert (root / "var/lib/afterrun/afterrun.db").exists()
    assert str(port) in flags.read_text()

    within(root, "apt-get -qq install /root/afterrun.deb")
    assert str(port) in flags.read_text()
    within(root, "apt-get -qq purge afterrun-exporter")
    assert not {name for name in files(root) - before if "afterrun" in name}
    assert "afterrun" not in (root / "etc/passwd").read_text()


def test_an_upgrade_keeps_what_was_changed_and_a_purge_a_mounted_database(
    root: Path, package: Path
) -> None:
    """With a user that is in another group, as an administrator may have made it."""
    shutil.copy(package, root / "root/afterrun.deb")
    within(root, OLDER)
    within(root, "groupadd -r other && useradd -r -g other afterrun")
    within(root, "apt-get -qq update && apt-get -qq install /root/older.deb")
    assert within(root, "stat -c %G:%a /var/lib/afterrun") == "afterrun:700\n"
    changed, unchanged = (
        root / "etc/afterrun/afterrun.yml",
        root / "etc/default/afterrun",
    )
    changed.write_text("# Mine.\njobs: {}\n")
    assert "# Older." in unchanged.read_text()

    keep = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
    within(root, f"apt-get -qq {keep} install /root/afterrun.deb")
    assert changed.read_text() == "# Mine.\njobs: {}\n"
    assert "# Older." not in unchanged.read_text()
    assert "0.0.1" not in within(root, "dpkg-query -W afterrun-exporter")
    assert "afterrun, version" in within(root, "afterrun --version")

    (root / "etc/afterrun/web.yml").write_text("# Mine.\n")
    within(root, "mount -t tmpfs none /var/lib/afterrun && dpkg -P afterrun-exporter")
    assert (root / "var/lib/afterrun").exists()
    assert {path.name for path in changed.parent.iterdir()} == {"web.yml"}


def check_main_job(root: Path, port: int) -> None:
    """Run the daemon as the unit does; report a run, and find it in the metrics."""
    url = f"http://127.0.0.1:{port}"
    (command,) = re.findall(r"^ExecStart=(.*)$", (root / UNIT).read_text(), 8)
    start = (
        ". /etc/default/afterrun && exec setpriv --reuid=afterrun --regid=afterrun "
        f"--init-groups --no-new-privs {command.replace('%S', '/var/lib')}"
    )
    with (root / "root/daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [DEBIAN_ROOT, "run", root, "sh", "-c", start], stdout=log, stderr=log
        )
        try:
            wait_for(lambda: daemon.poll() is not None or get(f"{url}/-/ready"), 120)
            assert daemon.poll() is None, (root / "root/daemon.log").read_text()
            assert get(f"{url}/ping/nightly-backup?rows_processed=0") is not None
            metrics = (get(f"{url}/metrics") or b"").decode()
        finally:
            daemon.kill()
            daemon.wait()
    assert re.search(
        r'^afterrun_job_runs_total\{job_name="nightly-backup".*\} 1$', metrics, 8
    )


def within(root: Path, script: str) -> str:
    """Run a script in the root; return its output."""
    done = subprocess.run(
        [DEBIAN_ROOT, "run", root, "sh", "-ec", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{script}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files(root: Path) -> set[str]:
    """Return the files of a root that belong to no log and no list of packages."""
    left_out = ("var/lib/dpkg/", "var/lib/apt/", "var/cache/", "var/log/", "root/")
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return {name for name in found if not name.startswith((*left_out, "proc/"))}
