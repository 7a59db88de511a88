"""Programs of other suites of Debian, in private folders: nothing is installed.

A suite is downloaded once, with apt-get and its own lists; `make clean` removes it.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).parents[2] / ".cache"
MIRROR: Final = "http://deb.debian.org/debian"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

PACKAGES: Final = ("prometheus", "prometheus-alertmanager", "prometheus-pushgateway")
#: A package of its own since Debian 13; before, a part of prometheus.
PROMTOOL: Final = "promtool"
PROGRAMS: Final = (
    *("prometheus", "promtool", "prometheus-alertmanager", "amtool"),
    "prometheus-pushgateway",
)
#: What extension modules of Python need.
LIBRARIES: Final = ("libstdc++6",)


class DownloadError(Exception):
    """Something of Debian that cannot be had, with the reason."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite of Debian, such as trixie."""

    name: str

    @property
    def folder(self) -> Path:
        return CACHE / "debian" / self.name

    @property
    def root(self) -> Path:
        """The folder in which packages are unpacked."""
        return self.folder / "root"

    def programs(self) -> Path:
        """Return the folder of Prometheus, Alertmanager and their tools, for PATH.

        They need no libraries but the machine's.
        """
        programs = self.folder / "bin"
        if not (programs / PROGRAMS[-1]).exists():
            self._update()
            names = self._apt("pkgnames", PROMTOOL, tool="apt-cache").split()
            promtool = [name for name in names if name == PROMTOOL]
            archives = self.folder / "programs"
            archives.mkdir(exist_ok=True)
            self._apt("download", *PACKAGES, *promtool, cwd=archives)
            self._unpack(archives)
            programs.mkdir(exist_ok=True)
            for program in PROGRAMS:
                link = programs / program
                link.unlink(missing_ok=True)
                link.symlink_to(self.root / "usr/bin" / program)
        return programs

    def python(self, version: str) -> Path:
        """Return the interpreter of *version*, with the libraries of the suite.

        The machine's may be older, so the interpreter is changed to find its own.
        """
        ready = self.folder / f"python{version}.ready"
        python = self.root / f"usr/bin/python{version}"
        if not ready.exists():
            self._update()
            packages = (f"python{version}", *LIBRARIES)
            self._apt("install", "--download-only", "--yes", *packages)
            self._unpack(self.folder / "cache/archives")
            loader = next(
                path
                for path in self.root.rglob("ld-linux*.so.*")
                if not path.is_symlink()
            )
            name = loader.parent.name
            libraries = f"{self.root}/lib/{name}:{self.root}/usr/lib/{name}"
            _run("patchelf", "--set-interpreter", str(loader), str(python))
            # Unlike a RUNPATH, an RPATH also applies to what libraries need.
            rpath = ("--force-rpath", "--set-rpath", libraries)
            _run("patchelf", *rpath, str(python))
            ready.touch()
        return python

    def _update(self) -> None:
        """Download the lists of the suite, unless they are up to date."""
        if not KEYRING.exists():
            raise DownloadError(
                f"{KEYRING} is missing: install the package debian-archive-keyring"
            )
        for folder in ("lists/partial", "cache/archives/partial", "root"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        source = f"deb [signed-by={KEYRING}] {MIRROR} {self.name} main\n"
        (self.folder / "sources.list").write_text(source)
        (self.folder / "status").touch()
        self._apt("update", "--error-on=any")

    def _apt(self, *words: str, tool: str = "apt-get", cwd: Path | None = None) -> str:
        """Run apt-get apart from the machine's own lists and packages."""
        settings = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Install-Recommends": "false",
            # The folder may not be readable for apt's own user.
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "true",
        }
        options = [f"-o={key}={value}" for key, value in settings.items()]
        return _run(tool, "-qq", *options, *words, cwd=cwd)

    def _unpack(self, archives: Path) -> None:
        """Unpack the packages in *archives* into the root."""
        for package in sorted(archives.glob("*.deb")):
            _run("dpkg", "-x", str(package), str(self.root))


def _run(*command: str, cwd: Path | None = None) -> str:
    if shutil.which(command[0]) is None:
        raise DownloadError(f"{command[0]} is missing: run `make test` once")
    result = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise DownloadError(f"{' '.join(command)} failed:\n{result.stderr.strip()}")
    return result.stdout
