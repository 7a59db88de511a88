"""The Debian package: its files, unit, scripts. Installing it: test_debian_roots.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.packages.sources import ROOT, build, git, run
from tests.e2e.processes import installed

BUILD = ROOT / "scripts/build-deb.sh"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package without the dependencies."""
    folder = tmp_path_factory.mktemp("deb")
    (wheel,) = build(ROOT, folder / "wheel", "wheel")
    found = run(
        BUILD,
        *(wheel, folder),
        folder=ROOT,
        PYTHON=sys.executable,
        PIP_NO_DEPS="1",
        SOURCE_DATE_EPOCH=git(ROOT, "log", "-1", "--format=%ct"),
    )
    return Path(found.strip())


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    """The files and, in DEBIAN/, the scripts of the package."""
    folder = package.parent / "unpacked"
    run("dpkg-deb", "--raw-extract", package, folder, folder=package.parent)
    return folder


def test_it_has_the_files_that_are_documented(unpacked: Path) -> None:
    paths = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*")}
    conffiles = (unpacked / "DEBIAN/conffiles").read_text().split()

    assert conffiles == ["/etc/afterrun/afterrun.yml", "/etc/default/afterrun"]
    assert {name.lstrip("/") for name in conffiles} <= paths
    assert (unpacked / "usr/bin/afterrun").readlink() == Path(
        "/opt/afterrun/bin/afterrun"
    )
    assert (unpacked / "opt/afterrun/bin/python").readlink() == Path("/usr/bin/python3")
    assert not [p for p in paths if "__pycache__" in p or p.endswith("RECORD")]


def test_nothing_in_it_names_the_folder_of_the_build(
    package: Path, unpacked: Path
) -> None:
    texts = [p for p in unpacked.rglob("*") if p.is_file() and not p.is_symlink()]

    assert texts
    assert not [p for p in texts if str(package.parent).encode() in p.read_bytes()]
    launcher = (unpacked / "opt/afterrun/bin/afterrun").read_text()
    assert launcher.startswith("#!/opt/afterrun/bin/python\n")


def test_its_version_is_older_than_that_for_the_next_debian(unpacked: Path) -> None:
    control = (unpacked / "DEBIAN/control").read_text()
    (version,) = re.findall(r"^Version: (\S+)$", control, re.MULTILINE)
    next_one = re.sub(r"~deb12$", "~deb13", version)

    assert not re.search("@[A-Z_]+@", control)
    for one in (next_one, "99.0-1"):
        run("dpkg", "--compare-versions", version, "lt", one, folder=ROOT)


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("0.2.0", "0.2.0"),
        ("0.2.0rc1", "0.2.0~rc1"),
        ("0.2.0a1", "0.2.0~a1"),
        ("0.2.0.dev3+gb1a2rc3", "0.2.0~dev3+gb1a2rc3"),
        ("0.2.0rc1.dev3+ga1", "0.2.0~rc1~dev3+ga1"),
    ],
)
def test_its_version_is_that_of_the_wheel(version: str, upstream: str) -> None:
    """The name of a commit may look like a release candidate."""
    (line,) = re.findall(r"^upstream=.*$", BUILD.read_text(), re.MULTILINE)
    wheel = f"/dist/afterrun_exporter-{version}-py3-none-any.whl"
    script = f'wheel={wheel}; {line}; printf %s "$upstream"'

    assert run("sh", "-c", script, folder=ROOT) == upstream


def test_its_unit_is_that_of_the_repository_with_a_user_and_flags(
    unpacked: Path, tmp_path: Path
) -> None:
    text = (unpacked / "usr/lib/systemd/system/afterrun.service").read_text()

    assert "\nUser=afterrun\nGroup=afterrun\n" in text
    assert "DynamicUser" not in text
    assert re.search(r"^ExecStart=/opt/afterrun/bin/afterrun serve .* \$ARGS$", text, 8)
    here = re.sub("/opt/afterrun/bin/afterrun", "/bin/true", text)
    unit = tmp_path / "afterrun.service"
    unit.write_text(here)
    verify = [installed("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "afterrun.service" not in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["preinst", "postinst", "prerm", "postrm"])
def test_its_scripts_are_shell(unpacked: Path, name: str) -> None:
    script = unpacked / "DEBIAN" / name

    run("dash", "-n", script, folder=unpacked)
    assert script.stat().st_mode & 0o777 == 0o755
