"""Rewritten lines of crontabs do what the original ones do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from afterrun_exporter.importers.crontab import cron_jobs
from afterrun_exporter.importers.crontab_rewriting import rewrite
from afterrun_exporter.importers.model import InputFile
from tests.importers.cron import rewritten, run, stand_in

AT = "0 2 * * * "
PIPEFAIL = ("/bin/bash", "-o", "pipefail")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/opt/backup.sh --all", "backup -- /opt/backup.sh --all"),
        (
            "/opt/backup.sh >> /var/log/b.log 2>&1",
            "backup -- /opt/backup.sh >> /var/log/b.log 2>&1",
        ),
        ('/opt/b "$HOME" it\\\'s', 'b -- /opt/b "$HOME" it\\\'s'),
        ("cd /srv && ./run.sh", "run -- sh -c 'cd /srv && ./run.sh'"),
        ("A=1 /x/y", "y -- sh -c 'A=1 /x/y'"),
        ("dump | gzip > x", "dump -- bash -o pipefail -c 'dump | gzip > x'"),
        (
            "dump -d'a b' | gzip > $(date +\\%F)",
            "dump -- bash -o pipefail -c 'dump -d'\\''a b'\\'' | gzip > $(date +\\%F)'",
        ),
        ("mail root%Hello%World", "mail-root -- mail root%Hello%World"),
        ("cat | sort%b%a", "sort -- bash -o pipefail -c 'cat | sort'%b%a"),
        ("$CMD x", "CMD -- sh -c '$CMD x'"),
        ("/x/y # why | not", "y -- /x/y # why | not"),
        ("(/x/y)", "y -- sh -c '(/x/y)'"),
    ],
)
def test_the_command_is_wrapped(command: str, expected: str) -> None:
    line = f"{AT}{command}"

    assert rewritten(line) == f"{AT}/usr/bin/afterrun exec {expected}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("SHELL=/bin/bash\n* * * * * a && b", "/bin/bash -c 'a && b'"),
        ("SHELL=/bin/bash\n* * * * * a | b", "/bin/bash -o pipefail -c 'a | b'"),
        ("PATH=/opt/bin\n* * * * * a && b", "/bin/sh -c 'a && b'"),
        ("PATH=/opt/bin\n* * * * * a | b", "/bin/bash -o pipefail -c 'a | b'"),
        ("PATH=/bin:/opt\n* * * * * a && b", "sh -c 'a && b'"),
    ],
)
def test_the_shell_is_the_one_of_the_crontab(lines: str, expected: str) -> None:
    assert rewritten(lines).endswith(f" exec a -- {expected}")


CRONTAB = """\
# Backups | all of them
SHELL = "/bin/sh"
MAILTO=""

\t0 2\t* * *   /opt/backup.sh   \\
@daily  cd /x && ./y.sh   # daily
#* * * * * /off/line
61 * * * * /bad
@reboot   /x/start
@hourly afterrun exec already -- /x
5 * * * * curl -fsS https://hc-ping.com/0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"""


def test_everything_but_commands_stays_byte_for_byte() -> None:
    before, after = CRONTAB.split("\n"), rewritten(CRONTAB).split("\n")

    changed = [a for a, b in zip(after, before, strict=True) if a != b]
    assert changed == [
        "\t0 2\t* * *   /usr/bin/afterrun exec backup -- /opt/backup.sh   \\",
        "@daily  /usr/bin/afterrun exec y -- /bin/sh -c 'cd /x && ./y.sh   # daily'",
        "@reboot   /usr/bin/afterrun exec start -- /x/start",
    ]


def test_rewriting_twice_changes_nothing() -> None:
    once = rewritten(CRONTAB)

    assert rewritten(once) == once


def test_the_names_stay_after_rewriting() -> None:
    text = "0 1 * * * /a/x.sh\n0 2 * * * /b/x.sh\n"
    after, _ = cron_jobs([InputFile("crontab", rewritten(text))])

    assert [job.name for job in after] == ["x", "x-2"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("SHELL=/usr/bin/fish\n* * * * * /x", "SHELL is fish, whose syntax is unknown"),
        ("* * * * * /x\r", "the line ends with a carriage return; remove it"),
        ("* * * * * %x", "there is no command before %"),
        (
            f"* * * * * /x {'y' * 980}",
            "it would be longer than 998 characters; put the command into a script",
        ),
    ],
)
def test_a_line_that_cannot_be_rewritten_is_reported(lines: str, reason: str) -> None:
    jobs, _ = cron_jobs([InputFile("crontab", lines)])

    result = rewrite(lines, jobs, "/usr/bin/afterrun")

    assert result.text == lines
    assert [one.reason for one in result.unmapped] == [f"not rewritten: {reason}"]


@pytest.mark.parametrize(
    ("command", "is_reported"),
    [
        ('[ "$(date +\\%u)" = 7 ] && /opt/sunday.sh', True),
        ("test $(date +\\%d) -le 7 && cd /x && ./y", True),
        ("[ -f /in/new.csv ] && /load", True),
        ("test -x /certbot -a \\! -d /run/systemd && /certbot renew", True),
        ("date | grep -q Mon && /x", True),
        ("A=1; (test -s /x && /y)", True),
        ("! pgrep y && /y", True),
        ("[ -x /usr/bin/y ] && /usr/bin/y", False),
        ("command -v y > /dev/null && y", False),
        ("test -x /anacron || ( cd / && run-parts /etc/cron.daily )", False),
        ("[ -f /x ] && /y || /z", False),
        ("[ -f /x ] || exit 0; /y", False),
        ("cd /x && ./y", False),
        ("/x/test.sh && /y", False),
    ],
)
def test_a_command_that_only_runs_after_a_check_is_reported(
    command: str, is_reported: bool
) -> None:
    jobs, _ = cron_jobs([InputFile("crontab", AT + command)])

    result = rewrite(AT + command, jobs, "/usr/bin/afterrun")

    reasons = [one.reason for one in result.unmapped]
    assert any("if the check before && is false" in one for one in reasons) == (
        is_reported
    )
    assert result.lines


def test_a_line_that_continues_is_reported() -> None:
    lines = f"{AT}/opt/backup.sh \\\n  --all"
    jobs, _ = cron_jobs([InputFile("crontab", lines)])

    (remark,) = rewrite(lines, jobs, "/usr/bin/afterrun").unmapped

    assert remark.reason.startswith("rewritten, but it ends with a backslash")


@pytest.mark.parametrize(
    "command",
    [
        "echo 'a\\nb' | cat",
        "echo -e x | cat",
        "/x &> /dev/null | cat",
        "echo {a,b} | cat",
        "X=1; echo $0 | cat",
        "/x | cat && /y",
        "(/x | cat) || /y",
        "if /x | cat; then /y; fi",
    ],
)
def test_what_pipefail_or_bash_would_change_stays_with_sh(command: str) -> None:
    jobs, _ = cron_jobs([InputFile("crontab", AT + command)])

    result = rewrite(AT + command, jobs, "/usr/bin/afterrun")

    assert "-- sh -c '" in result.text
    assert "a failure before the last | is not seen" in result.unmapped[0].reason


#: Commands whose output and exit status are compared.
COMMANDS = [
    "/bin/echo a b",
    "echo 'single \"double\" quotes'",
    "echo it\\'s \"it's\"",
    "printf '\\%s\\n' 100\\% '\\%d'",
    "date +\\%Y | tr -d '[:digit:]'",
    "cat%line one%line two",
    "cat%100\\% sure%",
    "cat | tr a-z A-Z%one%two",
    "tr a b < /dev/null",
    "false",
    "false | cat",
    "cat /nonexistent | wc -l",
    "exit 3",
    "sh -c 'exit 7'",
    "/nonexistent/program",
    "/etc/passwd",
    "cd / && pwd",
    "test -x /nonexistent || echo no",
    "[ -e / ] && printf yes",
    "A='x y' sh -c 'echo \"$A\"'",
    "for i in 1 2 3; do echo $i; done",
    "if true; then echo yes; fi",
    "(cd /; pwd) > /dev/stdout",
    "{ echo a; echo b; } | sort -r",
    "echo `echo nested` $(echo $(echo deep))",
    "echo $HOME \"$HOME\" '$HOME'",
    "kill -TERM $$",
    "sh -c 'kill -KILL $$'",
    "echo out; echo err >&2",
    "echo a > /dev/null 2>&1",
    "nice -n 5 env -u HOME printenv LOGNAME",
    "timeout 20 echo in time",
    "flock /tmp/afterrun-test.lock echo locked",
    "echo * | grep -c .",
    "echo '#' # comment",
    "echo \\\\ '\\\\' \"\\\\\"",
    "echo '\\'\\'\\'",
    "'unbalanced",
    "x=$(printf '\\%s' a); echo $x",
    "! true",
    "true &",
    "echo ~",
]


@pytest.mark.parametrize("halves_backslashes", [False, True], ids=["cronie", "Debian"])
@pytest.mark.parametrize("command", COMMANDS)
def test_output_and_exit_status_stay(
    command: str, halves_backslashes: bool, tmp_path: Path
) -> None:
    assert_same(command, stand_in(tmp_path), halves_backslashes=halves_backslashes)


def assert_same(command: str, program: Path, *, halves_backslashes: bool) -> None:
    line = rewritten(f"{AT}{command}", str(program)).removeprefix(AT)
    assert line != command
    has_pipefail = " -- bash -o pipefail -c " in line
    shell = PIPEFAIL if has_pipefail else ("/bin/sh",)

    after = run(line, halves_backslashes=halves_backslashes)

    expected = run(command, shell=shell, halves_backslashes=halves_backslashes)
    if expected.status < 0:  # killed; a shell between them tells so by its status
        assert after in {expected, (expected.output, 128 - expected.status)}
        return
    assert after == expected
    if has_pipefail:
        original = run(command, halves_backslashes=halves_backslashes)
        assert after.output == original.output


words = st.sampled_from(
    ["a", "'b c'", '"d $LOGNAME"', "\\%", "'\\%'", '"x\\\\y"', "\\'", "it\\'s", "'|;&'"]
) | st.text("ab'\"\\ $%;", max_size=6).map(lambda text: text.replace("%", "\\%"))
programs = st.sampled_from(
    ["/bin/echo", "printf '\\%s.'", "cat -", "true", "false", "sh -c", "cd /tmp &&"]
)
#: A pipe ends in a program that reads all of it: SIGPIPE may come or not.
joints = st.sampled_from(
    [" | cat; ", "; ", " && ", " || ", "|cat || ", ";", " > /dev/null; ", " | cat && "]
)


@st.composite
def command_lines(draw: st.DrawFn) -> str:
    line = ""
    for number in range(draw(st.integers(1, 3))):
        line += draw(joints) if number else ""
        line += " ".join([draw(programs), *draw(st.lists(words, max_size=3))])
    line += draw(st.sampled_from(["", " | cat", "|cat -"]))
    return line + draw(st.sampled_from(["", "%one%two", "%100\\% x%", "%"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("printf '\\%s.' \\'\\\\%a%b", False)
@given(command_lines(), st.booleans())
def test_every_command_line_keeps_its_output_and_exit_status(
    tmp_path: Path, command: str, halves_backslashes: bool
) -> None:
    assume("$$" not in command)
    program = tmp_path / "after% run"
    if not program.exists():
        stand_in(tmp_path)

    assert_same(command, program, halves_backslashes=halves_backslashes)


@given(st.text("ab'\"\\% |$`;&<>()#\t*-=/", min_size=1, max_size=30))
def test_any_text_is_rewritten_once(command: str) -> None:
    once = rewritten(f"{AT}x{command}")

    assert once.startswith(AT)
    assert rewritten(once) == once


@pytest.mark.thorough
@pytest.mark.parametrize(
    "command",
    [
        "cat%one%two",
        "printf '\\%s\\n' 100\\% | cat",
        "cd / && pwd; exit 3",
        "false | cat",
        "/nonexistent/program",
    ],
)
def test_afterrun_exec_itself_keeps_output_and_exit_status(
    command: str, tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("afterrun")
    environment = {
        "AFTERRUN_URL": "http://127.0.0.1:9",
        "AFTERRUN_SPOOL": str(tmp_path),
    }
    line = rewritten(f"{AT}{command}", str(program)).removeprefix(AT)

    after = run(line, environment=environment)

    shell = PIPEFAIL if "pipefail" in line else ("/bin/sh",)
    assert after == run(command, shell=shell)
