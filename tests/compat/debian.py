"""Programs of other suites of Debian, in private folders: nothing is installed.

A suite is downloaded once, with apt-get and its own lists; `make clean` removes it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
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
#: Programs of PostgreSQL that the tests run.
POSTGRES: Final = ("postgres", "initdb", "psql", "pg_basebackup")
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
        """Return the interpreter of *version*, with the libraries of the suite."""
        python = f"usr/bin/python{version}"
        return self._complete(f"python{version}", LIBRARIES, [python])[0]

    def postgres(self, version: str) -> Path:
        """Return the folder of the programs of PostgreSQL *version*."""
        folder = f"usr/lib/postgresql/{version}/bin"
        paths = [f"{folder}/{program}" for program in POSTGRES]
        programs = self._complete(f"postgresql-{version}", (), paths)[0].parent
        # LLVM would use the machine's libraries; without it, nothing is compiled.
        (programs.parent / "lib" / "llvmjit.so").unlink(missing_ok=True)
        return programs

    def _complete(
        self, package: str, libraries: Sequence[str], paths: Sequence[str]
    ) -> list[Path]:
        """Return the programs at *paths* of a package, with the libraries of the suite.

        The machine's may be older, so the programs are changed to find their own.
        """
        ready = self.folder / f"{package}.ready"
        programs = [self.root / path for path in paths]
        if not ready.exists():
            self._update()
            self._apt("install", "--download-only", "--yes", package, *libraries)
            self._unpack(self.folder / "cache/archives")
            loader = next(self.root.glob("lib/*-linux-gnu*/ld-linux*.so.*"), None)
            loader = loader or next(
                self.root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
            )
            for program in programs:
                self._bind(program, loader)
            ready.touch()
        return programs

    def _bind(self, program: Path, loader: Path) -> None:
        """Have *program* use *loader* and the libraries of this root."""
        name = loader.parent.name
        libraries = f"{self.root}/lib/{name}:{self.root}/usr/lib/{name}"
        _run("patchelf", "--set-interpreter", str(loader), str(program))
        # Unlike a RUNPATH, an RPATH also applies to what libraries need.
        rpath = ("--force-rpath", "--set-rpath", libraries)
        _run("patchelf", *rpath, str(program))

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
