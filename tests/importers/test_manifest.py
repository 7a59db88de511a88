"""Manifests of JobConfig objects, read and never executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.importers.manifest import read
from afterrun_exporter.importers.model import Imported, InputFile
from tests.examples import examples
from tests.importers import results

HEADER = "from zerg.jobs import job_registry, JobConfig\n"


def imported(text: str, **others: str) -> Imported:
    """Return the result for a manifest, and other files by module name."""
    files = [InputFile("repo/manifest.py", HEADER + text)]
    files += [
        InputFile(f"repo/{name.replace('__', '/')}.py", one)
        for name, one in others.items()
    ]
    return results.checked(read, files)


def jobs(text: str, **others: str) -> dict[str, Any]:
    """Return the settings of the jobs of a manifest of which all is mapped."""
    result = imported(text, **others)
    assert results.reports(result) == []
    return results.settings(result)


def register(arguments: str) -> str:
    return f"job_registry.register(JobConfig({arguments}))\n"


DOCUMENTED = """\
from jobs.daily_report import run as daily_report

job_registry.register(JobConfig(
    id="daily-report",
    cron="0 8 * * *",           # 8 AM UTC daily
    func=daily_report,
    timeout_seconds=300,        # 5 minute timeout
    max_attempts=3,             # Retry up to 3 times
    tags=["reports"],
    project="my-project",
    description="Daily performance report",
))
job_registry.register(JobConfig(id="b", cron="0 0 1 * *", func=x, enabled=False))
"""


def test_a_documented_manifest_is_imported() -> None:
    result = imported(DOCUMENTED)

    assert results.reports(result) == []
    assert results.settings(result) == {
        "daily-report": {
            "description": "Daily performance report",
            "schedule": "0 8 * * *",
            "timezone": "UTC",
            "max_runtime": "5m",
            "max_attempts": 3,
            "project": "my-project",
            "tags": ["reports"],
        },
        "b": {
            "schedule": "0 0 1 * *",
            "timezone": "UTC",
            "max_runtime": "5m",
            "max_attempts": 3,
            "enabled": False,
        },
    }
    assert [str(job.source) for job in result.jobs] == [
        "repo/manifest.py:4",
        "repo/manifest.py:14",
    ]
    assert "the default of JobConfig: timeout_seconds, max_attempts" in (
        result.jobs[1].comments
    )


def test_a_manifest_is_never_executed(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    text = (
        f"open({str(touched)!r}, 'w').close()\n"
        f"__import__('pathlib').Path({str(touched)!r}).touch()\n"
        f"x = eval({f'open({str(touched)!r}, {chr(119)!r})'!r})\n"
        f"for c in ().__class__.__base__.__subclasses__(): c({str(touched)!r}, 'w')\n"
        + register("id='a', cron='@daily', func=x")
    )

    imported(text)

    assert not touched.exists()


@pytest.mark.parametrize(
    "expression",
    [
        "5 * 60",
        "60 * 60 // 8",
        "2 ** 9",
        "-(-7) % 4",
        "int(1.5 * 60)",
        "max(60, 30) + min([1, 2])",
        "sum([60, 60, 30])",
        "len('abc') * round(2.6)",
        "int('300')",
        "300 if True else missing",
        "0 or 90",
        "1 and 90",
        "[1, 2, 300][-1]",
        "{'a': 1, 'b': 120}['b']",
        "dict(a=60)['a']",
        "dict([('a', 60)]).get('b', 70)",
        "{**{'a': 1}, 'a': 2}['a'] * 60",
        "({'a': 60} | {'a': 61})['a']",
        "[*range(5), 300][5]",
        "sorted({30, 10, 20})[1]",
        "int(timedelta(minutes=5).total_seconds())",
        "(timedelta(hours=1) / 4).seconds",
        "sum(x * 10 for x in range(1, 5) if x % 2)",
        "{k: v for k, v in zip('ab', (60, 61))}['b']",
        "[[i * j for j in (1, 2)] for i in (30, 60)][1][1]",
        "list(enumerate('abc', 60))[2][0]",
        "(n := 60) + n",
        "60 * (3 > 2 >= 2) + ('a' in 'abc') + ('x' not in ['y'])",
        "300 if not [] else 1",
        "[10, 20, 30][1:][0]",
        "int('0300'.lstrip('0'))",
    ],
)
def test_numbers_are_those_of_python(expression: str) -> None:
    from datetime import timedelta  # noqa: PLC0415 - for the expression

    expected = eval(expression, {"timedelta": timedelta})  # noqa: S307
    text = "from datetime import timedelta\n" + register(
        f"id='a', cron='@daily', func=f, max_attempts={expression}"
    )

    assert jobs(text)["a"]["max_attempts"] == expected


@pytest.mark.parametrize(
    "expression",
    [
        "f'sync-{1 + 1:02d}-{\"x\"!s:>2}'.replace(' ', '')",
        "'a' 'b' + 'c' * 2",
        "'%s-%03d' % ('a', 7)",
        "'{}-{b}'.format('a', b='c')",
        "'-'.join(['a', 'b'])",
        "' A-B '.strip().lower()",
        "'a-b-c'.split('-')[1].upper().zfill(3)",
        "'job-x'.removeprefix('job-').title()",
        "''.join(reversed('abc'))",
        "str(5) + repr_free",
    ],
)
def test_texts_are_those_of_python(expression: str) -> None:
    expected = eval(expression, {"repr_free": "z"})  # noqa: S307
    text = "repr_free = 'z'\n" + register(f"id={expression}, cron='@daily', func=f")

    assert list(jobs(text)) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "for n in ('a', 'b'):\n    " + register("id=n, cron='@daily', func=f"),
        "[job_registry.register(JobConfig(id=n, cron='@daily', func=f)) for n in 'ab']\n",
        (
            "JOBS = [JobConfig(id=n, cron='@daily', func=f) for n in 'ab']\n"
            "for j in JOBS: job_registry.register(j)\n"
        ),
        (
            "def add(name, cron='@daily', **kw):\n"
            "    job_registry.register(JobConfig(id=name, cron=cron, func=f, **kw))\n"
            "add('a')\nadd(name='b', cron='@daily')\n"
        ),
        (
            "def make(*, n):\n    return JobConfig(id=n, cron='@daily', func=f)\n"
            "job_registry.register(make(n='a'))\njob_registry.register(config=make(n='b'))\n"
        ),
        (
            "import zerg.jobs as z\nr = z.job_registry\n"
            "r.register(z.JobConfig(id='a', cron='@daily', func=f))\n"
            "r.register(z.JobConfig('b', '@daily', f))\n"
        ),
        (
            "from zerg.jobs.registry import JobConfig as J, job_registry as r\n"
            "r.register(J(id='a', cron='@daily', func=f))\n"
            "r.register(J(id='b', cron='@daily', func=f))\n"
        ),
        (
            "from dataclasses import replace\nbase = JobConfig(id='a', cron='@daily', func=f)\n"
            "job_registry.register(base)\njob_registry.register(replace(base, id='b'))\n"
        ),
        "i = 0\nwhile i < 2:\n    "
        + register("id='ab'[i], cron='@daily', func=f").rstrip()
        + "\n    i += 1\n",
        "try:\n    import fast\nexcept ImportError:\n    fast = None\nelse:\n    "
        + register("id='a', cron='@daily', func=f")
        + register("id='b', cron='@daily', func=fast"),
        "names = ['a']\nnames.append('b')\nfor n in names:\n    "
        + register("id=n, cron='@daily', func=f"),
        "for n in range(9):\n    if n == 0: continue\n    if n == 3: break\n    "
        + register("id='_ab'[n], cron='@daily', func=f"),
        (
            "job = lambda n, **kw: JobConfig(id=n, cron='@daily', func=f, **kw)\n"
            "for n in ('a', 'b'): job_registry.register(job(n, enabled=n == 'a'))\n"
        ),
        (
            "JOBS = [{'id': n, 'cron': '@daily'} for n in ('a', 'b')]\n"
            "for j in JOBS: job_registry.register(JobConfig(func=f, **j))\n"
        ),
        "CRONS: dict[str, str] = {'a': '@daily', 'b': '@hourly'}\n"
        "for name, cron in CRONS.items():\n    "
        + register("id=name, cron=cron, func=lambda: run(name)"),
        "class Cron:\n    DAILY = '@daily'\n    IDS = {'x': 'a'}\n"
        + register("id=Cron.IDS['x'], cron=Cron.DAILY, func=f")
        + register("id='b', cron=Cron.DAILY, func=f"),
        "if __name__ == '__main__':\n    "
        + register("id='c', cron='@daily', func=f")
        + register("id='a', cron='@daily', func=f")
        + register("id='b', cron='@daily', func=f"),
        register("id='a', cron='@daily', func=f")
        + register("id='c', cron='@daily', func=f")
        + register("id='b', cron='@daily', func=f")
        + "job_registry.get('c')\n",
    ],
)
def test_registrations_are_found_where_python_makes_them(text: str) -> None:
    names = list(jobs(text))

    assert names[:1] + names[-1:] == ["a", "b"]


def test_constants_are_imported_from_files_beside_the_manifest() -> None:
    text = (
        "import config\nimport jobs.settings as s\nfrom jobs import CRON, common as c\n"
        "from jobs.settings import *\n"
        + register(
            "id=config.NAME, cron=CRON, func=f, timeout_seconds=s.TIMEOUT, "
            "project=PROJECT, tags=c.TAGS"
        )
    )

    result = jobs(
        text,
        config="NAME = 'a'\n",
        jobs____init__="from .settings import CRON\n",
        jobs__settings="CRON = '@daily'\nTIMEOUT = 60\nPROJECT = 'p'\n",
        jobs__common="TAGS = ['t']\n",
    )

    assert result == {
        "a": {
            "schedule": "@daily",
            "timezone": "UTC",
            "max_runtime": "1m",
            "max_attempts": 3,
            "project": "p",
            "tags": ["t"],
        }
    }


def test_a_file_that_is_no_utf_8_is_reported_if_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "manifest.py").write_text(HEADER + register("id='a', cron='@daily'"))
    (tmp_path / "latin.py").write_bytes(b"X = 'caf\xe9'\n")
    (tmp_path / "binary.py").write_bytes(b"\0\xff")

    alone = CliRunner().invoke(afterrun, ["import", "manifest", str(tmp_path)])
    with (tmp_path / "manifest.py").open("a") as file:
        file.write("import latin\nimport binary\n")
    needed = CliRunner().invoke(afterrun, ["import", "manifest", str(tmp_path)])

    assert (alone.exit_code, alone.stderr) == (0, "")
    assert needed.exit_code == 3
    assert "latin.py: the file: is not UTF-8" in needed.stderr
    assert needed.stdout == alone.stdout


def test_a_module_that_registers_its_own_jobs_is_followed_once() -> None:
    own = HEADER + register("id='a', cron='@daily', func=f")

    assert list(
        jobs("import jobs.own as o\nfrom jobs import own\n", jobs__own=own)
    ) == ["a"]


def test_modules_that_import_each_other_are_followed() -> None:
    text = "import a\n" + register("id=a.X, cron='@daily', func=f")

    assert list(jobs(text, a="X = 'x'\nimport b\n", b="import a\nY = a.X\n")) == ["x"]


@pytest.mark.parametrize(
    ("arguments", "key", "report"),
    [
        ("id='a', cron=os.environ['C']", "schedule", "cron): is not constant: it depends on the environment"),
        ("id='a', cron=load()", "schedule", "load is not defined in the given files"),
        ("id='a', cron='0 25 * * *'", "schedule", "hour '25' is out of range"),
        ("id='a', cron='0 0 8 * * *'", None, ""),
        ("id='a', cron='30 0 8 * * *'", "schedule", "has 6 fields"),
        ("id='a', cron=5", "schedule", "expected text, not 5"),
        ("id='a'", "schedule", "JobConfig(id='a', cron): is missing"),
        ("id='a', cron='@daily', timeout_seconds=os.getpid()", "max_runtime", "calls os.getpid"),
        ("id='a', cron='@daily', timeout_seconds=0", "max_runtime", "expected seconds"),
        ("id='a', cron='@daily', timeout_seconds=9**9**9", "max_runtime", "a power that is too large"),
        ("id='a', cron='@daily', timeout_seconds=1/0", "max_runtime", "division by zero"),
        ("id='a', cron='@daily', timeout_seconds=1e999", "max_runtime", "expected seconds"),
        ("id='a', cron='@daily', max_attempts=0", "max_attempts", "expected a number from 1 to 1000"),
        ("id='a', cron='@daily', max_attempts=True", "max_attempts", "expected a number"),
        ("id='a', cron='@daily', tags='x'", "tags", "expected a list"),
        ("id='a', cron='@daily', tags=[1]", "tags", "1 is not one line of text"),
        ("id='a', cron='@daily', enabled='no'", "enabled", "expected True or False"),
        ("id='a', cron='@daily', timeout=5", "timeout", "unknown argument of JobConfig"),
        ("id='a', cron='@daily', **load()", "max_runtime", "may have further arguments"),
        ("id='a', cron='@daily', project=[]", "project", "expected text, not a list"),
        ("id='a', cron='@daily', description=undefined", "description", "undefined is not defined"),
    ],
)  # fmt: skip
def test_an_argument_that_is_not_known_is_left_out_and_reported(
    arguments: str, key: str | None, report: str
) -> None:
    result = imported("import os\n" + register(arguments))

    settings = results.settings(result)["a"]
    if key is None:
        assert results.reports(result) == []
        return
    assert key not in settings
    (found,) = results.reports(result)
    assert report in found
    assert found.startswith("repo/manifest.py:3: JobConfig(id='a'")


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (register("id=make(), cron='@daily'"), ":2: JobConfig(id): is not constant: make is not defined"),
        (register("cron='@daily'"), ":2: JobConfig(id): is missing"),
        (register("id=5, cron='@daily'"), "expected text, not 5"),
        ("if flag():\n    " + register("id='a'"), ":3: JobConfig(id='a'): is not imported: a value is not constant: flag is not defined"),
        ("for n in load():\n    " + register("id=n"), ":3: JobConfig(id=n): is not imported: a value is not constant: load is not defined"),
        ("with lock:\n    " + register("id='a'"), "with is not followed"),
        ("match x:\n    case 1:\n        " + register("id='a'"), "match is not followed"),
        ("def later():\n    " + register("id='a'"), ":3: JobConfig(id='a'): is not reached"),
        ("async def later():\n    " + register("id='a'"), "is not reached"),
        ("try:\n    import x\nexcept ImportError:\n    " + register("id='a'"), "is not reached"),
        ("job_registry.register(make('a'))\n", ":2: job_registry.register(...): is not imported: a value is not constant: make is not defined"),
        ("setup(job_registry)\n", ":2: setup(...): is not imported"),
        ("@decorate\ndef add():\n    " + register("id='a'") + "add()\n", "calls add, which is not followed"),
        ("raise SystemExit\n" + register("id='a'"), "raises an exception here"),
        ("x = [\n", "repo/manifest.py:2: the file: is not Python: '[' was never closed"),
        ("x = 0777\n", "is not Python: leading zeros"),
        ("x = 1\n", "no JobConfig is registered in the given files"),
        ("j = JobConfig(id='a', cron='@daily')\n", ":2: JobConfig(id='a'): is never registered"),
    ],
)  # fmt: skip
def test_jobs_that_are_not_known_are_reported_and_not_guessed(
    text: str, report: str
) -> None:
    result = imported(text)

    assert result.jobs == ()
    assert any(report in one for one in results.reports(result)), results.reports(
        result
    )


def test_what_an_unknown_statement_may_change_is_no_longer_known() -> None:
    text = (
        "TAGS = ['a']\nNAME = 'x'\nextend(TAGS)\nif flag(): NAME = 'y'\n"
        + register("id='a', cron='@daily', tags=TAGS")
        + register("id=NAME, cron='@daily'")
    )

    result = imported(text)

    assert "tags" not in results.settings(result)["a"]
    assert [one.text for one in result.unmapped] == [
        "JobConfig(id='a', tags)",
        "JobConfig(id)",
    ]


def test_log_messages_change_nothing() -> None:
    text = (
        "import logging\nTAGS = ['a']\nlogger = logging.getLogger(__name__)\n"
        "logger.info('%d: %s', len(TAGS), TAGS)\nprint(*TAGS, file=logger)\n"
        + register("id='a', cron='@daily', tags=TAGS")
    )

    assert jobs(text)["a"]["tags"] == ["a"]


def test_a_function_that_may_return_early_is_not_followed_further() -> None:
    text = (
        "def main():\n    if flag(): return\n    "
        + register("id='a', cron='@daily'")
        + "main()\n"
    )

    assert imported(text).jobs == ()


def test_a_loop_that_may_end_early_is_reported() -> None:
    text = (
        "for n in 'ab':\n    "
        + register("id=n, cron='@daily'")
        + "    if flag(): break\n"
    )

    result = imported(text)

    assert list(results.settings(result)) == ["a"]
    assert "is not imported each time" in results.reports(result)[0]


def test_a_job_that_is_registered_twice_is_that_of_the_first_time() -> None:
    text = register("id='a', cron='@daily'") + register("id='a', cron='@hourly'")

    result = imported(text)

    assert results.settings(result)["a"]["schedule"] == "@daily"
    (report,) = results.reports(result)
    assert report.startswith(
        "repo/manifest.py:3: id 'a': is already registered at repo/manifest.py:2"
    )


def test_jobs_may_be_disabled_afterwards() -> None:
    text = (
        register("id='a', cron='@daily'")
        + register("id='b', cron='@daily'")
        + "job_registry.disable('a')\njob_registry.unregister('b')\n"
    )

    result = imported(text)

    assert results.settings(result)["a"]["enabled"] is False
    assert list(results.settings(result)) == ["a"]
    assert "is unregistered afterwards" in results.reports(result)[0]


def test_days_of_the_week_by_number_are_noted() -> None:
    """APScheduler counts them from Monday on, unlike the documented meaning."""
    (job,) = imported(register("id='a', cron='0 0 * * 1'")).jobs

    assert job.settings["schedule"] == "0 0 * * 1"
    assert any("0 for Monday" in one for one in job.comments)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 150 + "1" + ")" * 150 + "\n",
        "x = " + "-" * 50_000 + "1\n",
        "x = " + "+".join(["1"] * 50_000) + "\n",
        "x = " + "a." * 50_000 + "b\n",
        "x = " + "[" * 500 + "\n",
        "".join(" " * n + "if 1:\n" for n in range(99)) + " " * 99 + "pass\n",
        "if 0: pass\n" + "elif 0: pass\n" * 2000,
        "x = 'a'\n" + "x = x + x\n" * 100,
        "x = [1]\n" + "x = x + x\n" * 100,
        "x = [1]\n" + "x = [x, x]\n" * 100 + "y = x == x\nz = str(x)\n",
        "x = 2\n" + "x = x * x\n" * 100,
        "x = 'x' * 10**9\n",
        "x = [0] * 10**9\n",
        "x = f'{1:>1000000000}'\n",
        "x = '%1000000000d' % 1\n",
        "x = '{:>1000000000}'.format(1)\n",
        "x = '{0.__class__}'.format(1)\n",
        "x = 1 << 10**9\n",
        "x = list(range(10**12))\n",
        "x = '9' * 5000\ny = int(x)\n",
        "while True: pass\n",
        "while True:\n    x = 1\n",
        "for a in range(9999):\n    for b in range(9999):\n        x = a\n",
        "def f(): f()\nf()\n",
        "def f(n):\n    return f(n) + f(n)\nx = f(1)\n",
        "x = [y for y in range(9999) for z in range(9999)]\n",
        "import manifest\nfrom . import manifest as m\nfrom ..... import x\n",
        "break\ncontinue\nreturn 5\n",
        "x = \ud800\n",
        "\x00",
        "#" + "x" * 2**20,
        "x = 1\n" * 250_000,
    ],
    ids=range(32),
)
def test_hostile_files_end(text: str) -> None:
    imported(text + "\n" + register("id='a', cron='@daily'"))


small = st.integers(-3, 70) | st.sampled_from([0.5, True, None, "a", "b-", ""])
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "|", "and", "or", "==", "<", "in"]
expressions = st.recursive(
    small.map(repr) | st.sampled_from(["A", "B", "f", "C['k']", "D"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(OPERATORS), inner)
        .map(lambda three: f"({three[0]} {three[1]} {three[2]})")
        | st.lists(inner, max_size=3).map(lambda many: f"[{', '.join(many)}]")
        | inner.map(lambda one: f"f'{{{one}!r}}'" if "'" not in one else one)
        | st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})")
        | st.tuples(inner, inner).map(lambda two: f"{{{two[0]}: {two[1]}}}")
        | st.tuples(inner, inner).map(lambda two: f"{two[0]}[{two[1]}]")
        | inner.map(lambda one: f"sum(x for x in [1, {one}])")
    ),
    max_leaves=6,
)  # fmt: skip
VARIABLES = "A = 5\nB = ['x', 'y']\nC = {'k': 60}\nD = 'text'\n"


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=examples(150), deadline=None)
@given(expressions)
def test_a_value_is_that_of_python_or_not_known(expression: str) -> None:
    """Never another one: a guess would be worse than a report."""
    scope: dict[str, Any] = {}
    exec(VARIABLES, scope)  # noqa: S102
    try:
        expected = eval(expression, scope)  # noqa: S307
    except Exception:  # noqa: BLE001 - of any kind
        expected = None
    text = VARIABLES + register(f"id='a', cron='@daily', description=str({expression})")
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return

    result = imported(text)

    description = results.settings(result)["a"].get("description")
    assert description is None or description == str(expected).strip()


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "for x in A:", "    ", "if x:", "else:", "\n", "JobConfig(", "id=", "'a'", ")",
                "job_registry.register(", "def f():", "return", "x", "=", "[", "]", "**", ":", "A",
                "import os", "from a import *", "class B:", "try:", "except:", "lambda", "yield", ",",
            ]
        ),
        max_size=25,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_read(text: str) -> None:
    imported(text)
