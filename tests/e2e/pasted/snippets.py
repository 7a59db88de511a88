"""The commands that documents, examples and help texts show, found by reading them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.howto import examples

ROOT: Final = Path(__file__).parents[3]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
#: Files with lines for crontab in comments and help texts.
OTHERS: Final = sorted(
    [
        *ROOT.glob("examples/*.*"),
        *ROOT.glob("deploy/*.*"),
        *ROOT.glob("*.yml"),
        ROOT / "Dockerfile",
        ROOT / "afterrun_exporter/client/options.py",
    ]
)

#: Blocks that run here, by their language.
RUN: Final = {"crontab", "ini", "bash", "yaml", "sh"}
#: Blocks that do not, with the reason.
NOT_RUN: Final = {
    "console": "shows output; its commands are checked in test_documented_commands.py",
    "json": "shows data",
    "markdown": "shows a picture",
    "nginx": "is a part of another program's configuration",
    "promql": "is evaluated in test_dashboard_queries.py, or is a part of a rule",
    "python": "is compiled in test_documented_commands.py",
    "text": "is a drawing",
}
OVERVIEW: Final = ROOT / "afterrun_exporter/page/templates/overview.html"

#: Blocks for a shell that do not run, by a part of them, with the reason.
SHELL_NOT_RUN: Final = {
    ".venv/bin/": "works in a clone on which make has run",
    "/opt/afterrun/bin/pip": "is the installation, which another test runs",
    "afterrun serve": "does not end; its options are checked elsewhere",
    "apt-get install ./afterrun": "is run in e2e/packages/test_debian_roots.py",
    "/backups": "is run in e2e/daemon/test_backup.py",
    "afterrun restore": "is run in e2e/daemon/test_backup.py, without the daemon",
    "/var/lib/afterrun": "reads the database of a service that systemd has started",
    "/proc/$(pgrep": "is run in e2e/daemon/test_replaced_files.py",
    "COMPLETE=": "is run in e2e/test_completion.py",
    "base.yml": "needs an Alertmanager with a configuration of its own",
    "afterrun.example": "names a host of the reader",
    "http://REPLICA": "names a host of the reader",
    "db.example": "is run in e2e/replicas/test_documented_commands.py, with a PostgreSQL",
    "cronitor.io": "asks a service in the internet",
    "install git+": "installs from a server in the internet, in a pipeline",
    "helm install": "is rendered in tests/deploy/test_documents.py",
    "helm upgrade": "is rendered in tests/deploy/test_documents.py",
    "kubectl --namespace": "needs a cluster; read in tests/deploy/test_documents.py",
    "kubectl apply -k": "needs a cluster",
    "exit 75": "is the end of a script",
}

_FENCE: Final = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_CRON: Final = re.compile(r"^[#\s]*((?:[\d*][\d*/,-]*\s+){4}[\d*][\w*/,-]*\s+\S.*)$")
#: The first comment of a script or a unit names its file.
_FILE: Final = re.compile(r"\A(?:#!.*\n)?# (\S*/)?([\w.-]+)(?: [A-Z]+)*\n")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to paste, and its place."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """The file and line, for people."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file to paste it into; "" if it names none."""
        match = _FILE.match(self.text)
        return f"{match[1] or ''}{match[2]}" if match else ""


def blocks(*languages: str) -> list[Snippet]:
    """Return the blocks of code of the documents, in any of *languages*."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for match in _FENCE.finditer(text):
            indent, language, inner = match.groups()
            if not languages or language in languages:
                line = text.count("\n", 0, match.start()) + 1
                plain = re.sub(rf"^{indent}", "", inner, flags=re.MULTILINE)
                found.append(Snippet(path, line, language, plain))
    return found


def crontabs() -> list[Snippet]:
    """Return the lines for crontab, each with the environment that is set above it."""
    found = []
    for block in blocks("crontab"):
        environment = ""
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            if re.match(r"\w+=", line):
                environment += f"{line}\n"
            elif line.strip() and not line.startswith("#"):
                text = environment + line
                found.append(Snippet(block.path, number, "crontab", text))
    for path in OTHERS:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if match := _CRON.match(line):
                found.append(Snippet(path, number, "crontab", match[1]))
    return found


def page_crontabs(url: str) -> list[Snippet]:
    """Return the lines for crontab that the page of the daemon at *url* shows."""
    expressions = re.findall(r"\{\{ example\((.*)\) \}\}", OVERVIEW.read_text("utf-8"))
    render = Environment(autoescape=True).compile_expression
    texts = [str(render(one)(url=url)) for one in expressions]
    job = Job(name="page-job", schedule=parse_cron("0 2 * * *", "UTC"))
    state = JobState(created_at=0.0, due_after=0.0, metrics={"rows_processed": 42.0})
    texts += [one.code for one in examples(job, state, url)]
    return [
        Snippet(OVERVIEW, number, "crontab", text.partition("\n\n")[0])
        for number, text in enumerate(texts)
        if any(map(_CRON.match, text.splitlines()))
    ]


def units() -> list[Snippet]:
    """Return the systemd units, and the parts of some."""
    found = [block for block in blocks("ini") if "[Service]" in block.text]
    files = sorted(ROOT.glob("deploy/*.service"))
    return [*found, *(Snippet(one, 1, "ini", one.read_text("utf-8")) for one in files)]


def containers() -> list[tuple[Snippet, list[str], dict[str, str]]]:
    """Return the command and the environment of each container in a manifest."""
    found = []
    for block in blocks("yaml"):
        for document in yaml.safe_load_all(block.text):
            for container in _containers(document):
                words = [*container.get("command", ()), *container.get("args", ())]
                environ = {
                    one["name"]: one.get("value", f"the-{one['name'].lower()}")
                    for one in container.get("env", ())
                }
                found.append((block, words, environ))
    return found


def _containers(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"containers", "initContainers"}:
                yield from (one for one in value if "command" in one or "args" in one)
            else:
                yield from _containers(value)
    elif isinstance(node, list):
        for one in node:
            yield from _containers(one)


def shell_commands() -> list[Snippet]:
    """Return the blocks of commands to type, except those of `SHELL_NOT_RUN`."""
    return [
        block
        for block in blocks("sh")
        if not block.text.startswith("#!")
        and not any(part in block.text for part in SHELL_NOT_RUN)
    ]


def scripts() -> list[Snippet]:
    """Return the scripts that are to be saved as a file."""
    return [block for block in blocks("sh", "bash") if block.text.startswith("#!")]
