"""What the documents show to type is valid: commands, requests, configurations."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter import config as configs
from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.response_models import Finding
from afterrun_exporter.api.routes import routes
from afterrun_exporter.cli.group import COMMANDS, afterrun
from afterrun_exporter.cli.main import CLIENT
from afterrun_exporter.config.schema import FileSpec
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import app_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text("utf-8")
#: Examples that refer to jobs or receivers that are defined elsewhere.
FRAGMENTS = ("unknown job", "unknown receiver", "no such file", "is not a receiver")


class Block(NamedTuple):
    """A fenced block of code."""

    path: Path
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    fence = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
    return [
        Block(path, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for path in DOCUMENTS
        for indent, language, text in fence.findall(path.read_text("utf-8"))
        if language in languages
    ]


def commands() -> set[tuple[str, ...]]:
    """Return the words of each `afterrun` command line in a block of code."""
    text = "\n".join(block.text for block in blocks("sh", "console", "crontab"))
    lines = text.replace("\\\n", " ").splitlines()
    starts = re.compile(r"^(?:\$ |[\d*/ ]+ |.*&& |.*; )?(?:\S*/)?(?=afterrun [a-z])")
    found = [starts.sub("", line) for line in lines if starts.match(line)]
    return {tuple(words(line)) for line in found}


def words(line: str) -> list[str]:
    """Return the words of the first command of *line*."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&>")
    lexer.whitespace_split = True
    return list(itertools.takewhile(lambda w: not set(w) <= set("|;&>"), lexer))


def options(name: str, subcommand: str) -> set[str]:
    """Return the options of a command."""
    context = click.Context(afterrun)
    command = afterrun.get_command(context, name)
    if isinstance(command, click.Group):
        command = command.get_command(context, subcommand)
    assert command is not None
    parameters = command.params
    return {o for p in parameters for o in (*p.opts, *p.secondary_opts)}


def test_there_are_commands() -> None:
    assert len(commands()) > 30


@pytest.mark.parametrize("command", sorted(commands()), ids=" ".join)
def test_every_documented_command_exists_with_its_options(
    command: tuple[str, ...],
) -> None:
    _, name, *arguments = itertools.takewhile(lambda word: word != "--", command)

    assert name in {*COMMANDS, *CLIENT}
    used = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    assert used <= options(name, next(iter(arguments), ""))


@pytest.mark.parametrize("block", blocks("sh", "bash"), ids=lambda b: b.path.name)
def test_a_shell_can_read_every_script(block: Block) -> None:
    result = subprocess.run(
        ["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, block.text + result.stderr


def configurations() -> list[Block]:
    top = set(FileSpec.model_fields)
    return [
        block
        for block in blocks("yaml")
        if (keys := set(re.findall(r"^(\w+):", block.text, re.MULTILINE)))
        and keys <= top
    ]


def test_there_are_configurations() -> None:
    assert len(configurations()) > 10


@pytest.mark.parametrize("block", configurations(), ids=lambda b: b.path.name)
def test_every_documented_configuration_is_valid(block: Block) -> None:
    try:
        configs.parse(block.text, "afterrun.yml")
    except ConfigError as error:
        problems = str(error).splitlines()
        left = [p for p in problems if not any(f in p for f in FRAGMENTS)]
        assert left == [], block.text


async def test_the_first_example_has_the_response_that_is_shown(
    store: MemoryStore, aiohttp_client: AiohttpClient
) -> None:
    """With the configuration of this repository, which `make run` uses."""
    clock = ManualClock(at("22 12:00"))
    job_config = configs.load(ROOT / "afterrun.yml").job_config
    service = Service(store, clock, job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    example = README.partition("$ curl")[2].partition("\n{")[0]
    fields = dict(pair.split("=") for pair in re.findall(r"-d (\S+=\S+)", example))
    shown = json.loads(re.findall(r"^\{.*?\}$", README, re.DOTALL | re.MULTILINE)[0])

    response = await client.post("/ping/nightly-backup", data=fields)

    assert await response.json() == shown | {"deadline": "2026-11-23T00:30:00Z"}
    metrics = await (await client.get("/metrics")).text()
    (line,) = re.findall(r"^afterrun_job_rule_violated.* 1$", README, re.MULTILINE)
    assert line in metrics.splitlines()


@pytest.mark.parametrize("address", ["", ":10708"])
def test_make_runs_the_daemon_on_another_port(address: str) -> None:
    command = ["make", "--dry-run", "run", *([f"ADDRESS={address}"] if address else [])]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )

    expected = f" --web.listen-address={address}" if address else ""
    assert (
        result.stdout.splitlines()[-1].rstrip()
        == f"exec .venv/bin/afterrun serve --config.file=afterrun.yml{expected}"
    )


def output_of(*arguments: str) -> str:
    result = CliRunner().invoke(afterrun, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def shown_after(command: str) -> str:
    """Return the documented output of *command*."""
    (text,) = {
        match[1]
        for block in blocks("console")
        for match in [
            re.search(
                rf"^\$ {re.escape(command)}\n(.*?)(?=^\$ |\Z)",
                block.text,
                re.DOTALL | re.MULTILINE,
            )
        ]
        if match
    }
    return text.strip()


def test_slots_are_shown_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    output = output_of("check", "--slots=1", "--from=2026-11-22T17:03:44Z")

    assert output.strip() == shown_after("afterrun check --slots 1")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file that the documents make of the sample, with a command that they show."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afterrun.yml").write_text((ROOT / "afterrun.yml").read_text("utf-8"))
    (command,) = {
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.text.splitlines()
        if line.endswith("> broken.yml")
    }
    subprocess.run(["sh", "-ec", command], check=True)
    return (tmp_path / "broken.yml").read_text("utf-8")


def test_problems_are_shown_as_documented(broken: str) -> None:
    assert broken
    result = CliRunner().invoke(afterrun, ["check", "broken.yml"])

    assert result.exit_code == 1
    assert result.stderr.strip() == shown_after("afterrun check broken.yml")


async def test_problems_have_the_documented_response_of_the_api(
    broken: str, store: MemoryStore, aiohttp_client: AiohttpClient
) -> None:
    clock = ManualClock(at("22 12:00"))
    service = Service(store, clock, configs.default().job_config)
    await service.start()
    api = routes(service, store, Receivers(store, reload_alertmanager), clock)
    client = await aiohttp_client(app_of(service, clock, more=api))

    response = await client.post("/api/v1/check", data=broken)

    shown = shown_after(
        "curl -sS localhost:10707/api/v1/check --data-binary @broken.yml"
    )
    assert await response.json() == json.loads(shown)


def test_both_kinds_of_check_name_a_problem_alike(broken: str) -> None:
    """The API and `afterrun check --json`, which may read several files."""
    assert broken
    result = CliRunner().invoke(afterrun, ["check", "broken.yml", "--json"])

    problems = json.loads(result.stdout)["problems"]
    fields = {*Finding.model_fields, "file"}
    assert [set(one) for one in problems] == [fields] * 2


def test_a_new_token_is_shown_as_documented() -> None:
    options = "--scope ping --jobs 'backup-.*' --name backups"

    def masked(text: str) -> str:
        return re.sub(r"ar_[\w-]+|sha256:[0-9a-f]+", "...", text.strip())

    output = output_of("token", "new", *shlex.split(options))

    assert masked(output) == masked(shown_after(f"afterrun token new {options}"))


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.path.name)
def test_documented_python_compiles_and_imports_names_that_exist(block: Block) -> None:
    tree = ast.parse(block.text)

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("afterrun"):
            module = importlib.import_module(str(node.module))
            assert {alias.name for alias in node.names} <= set(dir(module))


@pytest.mark.parametrize(
    "command",
    [
        (
            "promtool check rules rules/afterrun.rules.yml"
            " && promtool test rules rules/tests/afterrun.test.yml"
        ),
        "grep 'config_info{' rules/afterrun.rules.yml",
    ],
)
def test_commands_about_the_shipped_rules_print_what_is_documented(
    command: str,
) -> None:
    result = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert _plain(result.stdout) == _plain(shown_after(command))


def _plain(output: str) -> str:
    """Return *output* without blank lines and indentation of the whole."""
    lines = (line.strip() for line in output.splitlines())
    return "\n".join(line for line in lines if line)


#: Parts of messages that documents quote: who rewords one finds the other.
QUOTED = (
    "this job requires",
    "it did not run when it was due",
    "its run did not end in time",
    "are open at once",
    "no sign of life since",
    "expected at least every",
    "required jobs are unhealthy",
    "would be flagged",
    "history is incomplete",
    "the last run ended with",
    "is open for job",
    "no run yet: ",
    "is a cycle",
    "unknown key",
    "is not a number",
    "cannot write the job's ",
)
CODE = "\n".join(
    path.read_text("utf-8") for path in (ROOT / "afterrun_exporter").rglob("*.py")
)
TEXTS = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_messages_are_those_of_the_program(message: str) -> None:
    assert message in TEXTS
    assert message in CODE
