"""Names of jobs from the commands that they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from afterrun_exporter.core.model import JOB_NAME, UUID
from afterrun_exporter.importers.names import job_name
from afterrun_exporter.importers.shell_words import (
    Token,
    UnbalancedError,
    commands,
    tokens,
)

_WORDS: Final = """cd test [ [[ export set sleep . source umask ulimit true false : mkdir pushd popd
    date printf exit return then else fi do done esac while until for case wait read
    command type which pgrep"""
#: Commands that prepare for another one, which gives the name.
_PREPARING: Final = frozenset(_WORDS.split())
#: Words before a command, with the options of each that have a value.
_WRAPPERS: Final = {
    "env": "uSC", "sudo": "ugUhpCrt", "doas": "u", "nice": "n", "ionice": "cnpt",
    "chrt": "pT", "chronic": "", "timeout": "ks", "flock": "wE", "nohup": "",
    "time": "fo", "setsid": "", "exec": "a", "stdbuf": "ioe", "if": "", "!": "",
    "{": "", "then": "", "do": "", "else": "", "eval": "", "cronic": "",
    "taskset": "", "lockf": "t", "setlock": "", "solo": "", "unshare": "",
    "systemd-cat": "tp", "systemd-run": "pu", "runuser": "ug", "su": "s", "xvfb-run": "",
    "busybox": "", "run-one": "", "cpulimit": "l", "trickle": "du", "torsocks": "",
    "caffeinate": "", "cronlog": "", "setuidgid": "", "envdir": "", "chpst": "u", "sem": "",
}  # fmt: skip
#: Arguments of a wrapper before its command.
_ARGUMENTS: Final = {
    "timeout": 1, "flock": 1, "lockf": 1, "setlock": 1, "solo": 1, "su": 0,
    "setuidgid": 1, "envdir": 1, "taskset": 1,
}  # fmt: skip
_CONTAINERS: Final = frozenset({"docker", "podman", "docker-compose"})
#: Options of them, before a command in a container, that have a value of their own.
_CONTAINER_OPTIONS: Final = frozenset(
    {"-u", "--user", "-w", "--workdir", "-e", "--env", "--env-file", "-f", "--file",
     "-p", "--project-name", "--project-directory", "--profile", "--index", "--name",
     "-v", "--volume", "--entrypoint", "--detach-keys", "--context", "-H", "--host"}
)  # fmt: skip
_PACKAGE_MANAGERS: Final = frozenset({"npm", "pnpm", "yarn"})
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_INTERPRETERS = re.compile(
    r"(?:sh|bash|dash|ash|ksh|zsh|python[\d.]*|pypy\d?|perl[\d.]*|ruby[\d.]*|node|nodejs"
    r"|php[\d.]*(?:-cli)?|lua|tclsh|Rscript|java|deno|bun|npx|tsx|ts-node|uv|poetry|pipenv"
    r"|bundle)"
)
#: Options of an interpreter that have a value of their own.
_WITH_VALUE: Final = frozenset(
    {"-c", "-W", "-X", "-d", "-I", "-r", "-cp", "-classpath", "-o", "-O", "--rcfile",
     "--import", "--require", "--loader", "--experimental-loader"}
)  # fmt: skip
_EXTENSION = re.compile(
    r"\.(?:sh|bash|py|pl|php\d?|rb|js|ts|mjs|lua|R|jar|exe|cgi|zsh)$"
)
_ACTION = re.compile(r"[A-Za-z][A-Za-z0-9:_-]{1,39}")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_URL = re.compile(r"https?://[^\s\"'<>|;&()\\]+")
#: Tools that only fetch a URL, or only pass on or print text.
_FETCHING: Final = frozenset({"curl", "wget", "lynx", "links", "fetch", "http", "GET"})
_PRINTING: Final = frozenset({"echo", "cat", "tee", "logger", "mail"})

_HOSTS: Final = ("hc-ping.com", "hchk.io", "healthchecks.io")
_SIGNALS: Final = frozenset({"start", "success", "fail", "failure", "log", "complete"})


@dataclass(frozen=True, slots=True)
class Reported:
    """The job as which a command already reports its runs."""

    name: str = ""
    ping_uuid: str = ""
    #: The program or service that it reports with.
    through: str = ""


def name_of(command: str) -> str:
    """Return the name of the job that runs *command*."""
    return job_name(_name(command, 3))


def _name(command: str, depth: int) -> str:
    """Return a name, not valid yet; "" if there is none."""
    try:
        groups = commands(tokens(command))
    except UnbalancedError:
        groups = [[Token(word) for word in command.split()]]
    names = [(_of_words(words, depth), words) for words in groups]
    usable = [name for name, words in names if name and not _is_minor(words)]
    return next(iter(usable), next((name for name, _ in names if name), ""))


def _is_minor(words: Sequence[Token]) -> bool:
    first = PurePosixPath(next(_unwrapped(words), Token("")).value).name
    inline = {"-e", "-E"} & {one.value for one in words}
    return first in _PREPARING | _PRINTING | _FETCHING or (
        bool(inline) and _INTERPRETERS.fullmatch(first) is not None
    )


def _unwrapped(words: Sequence[Token]) -> Iterator[Token]:
    """Yield *words* without assignments and wrappers in front."""
    rest = list(words)
    while rest:
        first = PurePosixPath(rest[0].value).name
        if _ASSIGNMENT.match(rest[0].value):
            rest.pop(0)
            continue
        if first not in _WRAPPERS:
            break
        rest.pop(0)
        options = _WRAPPERS[first]
        while rest and rest[0].value.startswith("-") and rest[0].value != "-":
            option = rest.pop(0).value
            if first in {"su", "flock"} and option == "-c":
                rest = rest[:1]
                break
            takes = len(option) == 2 and option[1] in options
            if rest and takes:
                rest.pop(0)
        if rest and rest[0].value == "-":
            rest.pop(0)
        del rest[: _ARGUMENTS.get(first, 0)]
        if first == "flock" and rest[:1] and rest[0].value == "-c":
            rest.pop(0)
        if first == "su" and (at := _index(rest, "-c")) >= 0:
            rest = rest[at + 1 :]
    yield from rest


def _index(words: Sequence[Token], value: str) -> int:
    return next((at for at, one in enumerate(words) if one.value == value), -1)


def _of_words(words: Sequence[Token], depth: int) -> str:  # noqa: PLR0911 - a case each
    rest = list(_unwrapped(words))
    if not rest:
        return ""
    is_line = " " in rest[0].value and _index(words, "-c") >= 0
    if is_line and len(rest) == 1 and depth:
        return _name(rest[0].value, depth - 1)  # of su -c or flock -c
    program = PurePosixPath(rest[0].value).name
    if program in _PREPARING:
        return ""
    if program in _FETCHING and (match := _URL.search(" ".join(_values(rest)))):
        parts = urlsplit(match[0])
        return _EXTENSION.sub("", f"{parts.hostname}{parts.path}".rstrip("/"))
    if program == "run-parts":
        folder = next((one for one in _values(rest[1:]) if not one.startswith("-")), "")
        return PurePosixPath(folder).name or program
    if program == "runitor" and (at := _index(rest, "--")) >= 0:
        return _of_words(rest[at + 1 :], depth)
    if program in _CONTAINERS and (inner := _in_container(program, rest[1:])):
        return _of_words(inner[1:], depth) or inner[0].value
    if program in _PACKAGE_MANAGERS and _values(rest[1:2]) in (["run"], ["exec"]):
        rest = [one for one in rest[2:] if one.value != "--"]
        return _with_action(rest[0].value, rest[1:]) if rest else program
    if _INTERPRETERS.fullmatch(program):
        return _of_script(program, rest[1:], depth) or program
    return _with_action(program, rest[1:])


def _in_container(program: str, arguments: Sequence[Token]) -> list[Token]:
    """Return the container or service, and the command that is executed in it.

    It is empty if *arguments* do something else.
    """
    is_compose = program == "docker-compose"
    rest = list(arguments)
    actions: list[str] = []
    while rest:
        word = rest.pop(0).value
        if word.startswith("-"):
            if word in _CONTAINER_OPTIONS and "=" not in word and rest:
                rest.pop(0)
        elif word == "compose" and not actions:
            is_compose = True
        elif actions or word not in ({"exec", "run"} if is_compose else {"exec"}):
            return [Token(word), *rest] if actions else []
        else:
            actions.append(word)
    return []


def _of_script(  # noqa: PLR0911 - a case each
    program: str, arguments: Sequence[Token], depth: int
) -> str:
    """Return the name of what an interpreter runs."""
    rest = list(arguments)
    while rest:
        value = rest.pop(0).value
        if program in _SHELLS and re.fullmatch(r"-[a-z]*c", value) and rest and depth:
            return _name(rest[0].value, depth - 1)
        if value in {"-e", "-E", "--eval"} or (value == "-r" and program[:3] == "php"):
            return ""
        if value in {"-m", "-jar"} and rest:
            module = rest.pop(0).value
            return _with_action(PurePosixPath(module).name, rest)
        if value in _WITH_VALUE and rest:
            rest.pop(0)
        elif value in {"run", "exec"} and program in {
            "uv",
            "poetry",
            "pipenv",
            "bundle",
        }:
            return _of_words(rest, depth)
        elif not value.startswith("-"):
            if program == "npx":
                return _of_words([Token(value), *rest], depth)
            return _with_action(PurePosixPath(value).name, rest)
    return ""


def _with_action(program: str, arguments: Sequence[Token]) -> str:
    """Return the name of a program, with its first argument if that is a word."""
    name = _EXTENSION.sub("", program) or program
    if arguments:
        first = arguments[0]
        if _ACTION.fullmatch(first.value) and not first.expands:
            return f"{name}-{first.value}"
    return name


def _values(words: Sequence[Token]) -> list[str]:
    return [one.value for one in words]


def reported(command: str) -> Reported | None:
    """Return the job as which *command* reports its runs, or None if it does not."""
    try:
        groups = commands(tokens(command))
    except UnbalancedError:
        groups = [[Token(word) for word in command.split()]]
    for words in groups:
        if (job := _of_reporter(list(_unwrapped(words)))) is not None:
            return job
    for match in _URL.finditer(command):
        if (job := _of_url(match[0])) is not None:
            return job
    return None


def _of_reporter(words: Sequence[Token]) -> Reported | None:
    """Return the job of a program that reports runs, such as runitor."""
    if not words:
        return None
    program = PurePosixPath(words[0].value).name
    values = _values(words[1:])
    if program == "afterrun" and values[:1] in (["exec"], ["ping"]):
        end = values.index("--") if "--" in values else len(values)
        own = [one for one in values[1:end] if JOB_NAME.fullmatch(one)]
        skip = {values[at + 1] for at, one in enumerate(values[: end - 1])
                if one.startswith("--") and "=" not in one}  # fmt: skip
        names = [one for one in own if one not in skip] or own
        return Reported(names[0] if names else "", through="afterrun")
    if program == "cronitor" and "exec" in values:
        rest = values[values.index("exec") + 1 :]
        return Reported(next(iter(rest), ""), through="cronitor")
    if program == "runitor":
        options = dict(pairwise(values))
        pairs = {key.lstrip("-"): one for key, one in options.items() if key[:1] == "-"}
        pairs |= {
            key.lstrip("-"): one
            for key, _, one in (value.partition("=") for value in values)
            if one and key[:1] == "-"
        }
        uuid = pairs.get("uuid", "").lower()
        uuid = uuid if UUID.fullmatch(uuid) else ""
        return Reported(pairs.get("slug", ""), uuid, "runitor")
    return None


def _of_url(url: str) -> Reported | None:
    """Return the job to which a request to *url* reports, or None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = parts.hostname or ""
    path = [one for one in parts.path.split("/") if one]
    if host.endswith(("cronitor.link", "cronitor.io")) and path:
        keys = path[2:3] if path[0] == "p" else path[:1]
        return Reported(next(iter(keys), ""), through="Cronitor")
    ours = path[:1] == ["ping"] and len(path) > 1
    if not ours and not host.endswith(_HOSTS):
        return None
    if ours:
        path = path[1:]
    while len(path) > 1 and (
        path[-1] in _SIGNALS or path[-1].isdigit() or path[-1].startswith("$")
    ):
        path.pop()
    through = "Healthchecks" if host.endswith(_HOSTS) else "a ping"
    if not path:
        return None
    if UUID.fullmatch(path[0].lower()):
        return Reported(ping_uuid=path[0].lower(), through=through)
    return Reported(path[-1], through=through) if "$" not in path[-1] else None
