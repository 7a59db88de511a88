"""Completion in real shells, as docs/commands.md sets it up."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE

from . import network
from .chain import daemon, url

ROOT = Path(__file__).parents[2]
COMMANDS = (ROOT / "docs/commands.md").read_text("utf-8")

#: What the user types, and one of the completions.
LINES = [
    ("afterrun ba", "backtest"),
    ("afterrun ex", "exec"),
    ("afterrun spool f", "flush"),
    ("afterrun exec --time", "--timeout"),
    ("afterrun spool list --sp", "--spool"),
    ("afterrun ping --met", "--metric"),
    ("afterrun alerts l", "list"),
    ("afterrun exec nigh", "nightly-backup"),
    ("afterrun ping nigh", "nightly-backup"),
    ("afterrun runs nigh", "nightly-backup"),
    ("afterrun pause nigh", "nightly-backup"),
    ("afterrun backtest --job nigh", "nightly-backup"),
]

BASH = """
. ~/.bashrc
COMP_WORDS=($1) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )) COMP_LINE=$1
_afterrun_completion afterrun
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
#: Without a terminal zsh has no completion system: these replace what the script uses.
ZSH = """
compdef() {{ :; }}
_describe() {{ print -l -- ${{(P)3}} ; }}
compadd() {{ print -l -- ${{(P)@[-1]}} }}
. ~/.zshrc
words=(${{=1}}) CURRENT=${{#words}}
_afterrun_completion
"""
FISH = "complete -C $argv[1]"
SHELLS = {
    "bash": ["bash", "-c", BASH.format(), "bash"],
    "zsh": ["zsh", "-fc", ZSH.format(), "zsh"],
    "fish": ["fish", "-c", FISH],
}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home in which the documented commands have been run."""
    home = tmp_path_factory.mktemp("home")
    own = str(Path(sys.executable).parent)
    environ = {"PATH": f"{own}:{os.environ['PATH']}", "HOME": str(home)}
    (block,) = re.findall(
        r"## Shell completion\n.*?```sh\n(.*?)```", COMMANDS, re.DOTALL
    )
    subprocess.run(["bash", "-ec", block], check=True, env=environ)
    return environ


@pytest.fixture(scope="module")
def daemon_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon with the jobs of the sample configuration."""
    port = network.free_port()
    started = daemon(tmp_path_factory.mktemp("daemon"), ROOT / "afterrun.yml", port)
    started.start()
    yield url(port)
    started.stop()


def completions(shell: str, line: str, environ: dict[str, str]) -> list[str]:
    """Return what *shell* offers for *line*."""
    done = subprocess.run(
        [*SHELLS[shell], line],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return re.findall(r"^[\w-]+", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_jobs_are_completed(
    shell: str, line: tuple[str, str], daemon_url: str, environ: dict[str, str]
) -> None:
    typed, expected = line
    address = {**environ, "AFTERRUN_URL": daemon_url}

    # Again, as a person would who waited in vain: a busy daemon may need a second.
    assert network.wait_for(lambda: expected in completions(shell, typed, address))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_daemon_that_is_down_is_no_message_at_the_prompt(
    shell: str, environ: dict[str, str]
) -> None:
    address = {**environ, "AFTERRUN_URL": url(network.free_port())}

    assert completions(shell, "afterrun exec nigh", address) == []


def test_a_daemon_that_hangs_does_not_hold_the_prompt(
    environ: dict[str, str],
) -> None:
    """The shell gets its prompt back, although nobody answers."""
    with socket.create_server((network.LOOPBACK, 0)) as silent:
        address = url(silent.getsockname()[1])
        found = completions(
            "bash", "afterrun runs x", {**environ, "AFTERRUN_URL": address}
        )

    assert found == []
