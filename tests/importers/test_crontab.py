"""Jobs from crontabs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config.loading import parse
from afterrun_exporter.importers.command_names import name_of, reported
from afterrun_exporter.importers.crontab import cron_jobs, read
from afterrun_exporter.importers.crontab_lines import CronLine, assignment, parse_lines
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render, validated

FILES = Path(__file__).with_name("crontabs")


def of_file(name: str) -> Imported:
    text = (FILES / f"{name}.crontab").read_text("utf-8")
    result = validated(read([InputFile(name, text)], zone="Europe/Berlin"))
    parse(render(result))
    return result


def jobs_of(text: str, zone: str = "") -> dict[str, object]:
    result = read([InputFile("crontab", text)], zone=zone)
    return {job.name: job.settings for job in result.jobs}


def test_the_crontab_of_debian() -> None:
    result = of_file("debian")

    assert [(job.name, job.settings["schedule"]) for job in result.jobs] == [
        ("cron.hourly", "17 * * * *"),
        ("cron.daily", "25 6 * * *"),
        ("cron.weekly", "47 6 * * 7"),
        ("cron.monthly", "52 6 1 * *"),
    ]
    assert result.jobs[0].comments == ("user root", "timezone of this machine")
    assert not any("description" in job.settings for job in result.jobs)
    assert result.unmapped == ()


def test_crontabs_of_packages() -> None:
    result = of_file("packages")

    assert [job.name for job in result.jobs] == [
        "sessionclean",
        "certbot",
        "debian-sa1",
        "checkarray",
        "trim",
        "munin-cron",
        "warm-up",
        "console-cache:prune",
    ]
    assert result.jobs[0].settings["description"] == (
        "Look for old sessions every 30 minutes"
    )
    assert [one.source.line for one in result.unmapped] == [13]


def test_the_crontab_of_a_user() -> None:
    result = of_file("user")

    assert [job.name for job in result.jobs] == [
        "dump",
        "manage-sync_stock",
        "artisan-invoices:send",
        "rotate-daily",
        "rotate-weekly",
        "cleanup",
        "cleanup-2",
        "shop.example.com-cron",
        "report",
        "index",
        "kPq2sD",
        "ledger",
    ]
    dump, *_, report, index, mail, ledger = result.jobs
    assert dump.settings == {
        "description": "Nightly dump of the shop,\nkept for a month",
        "schedule": "0 3 * * *",
        "timezone": "Europe/Riga",
    }
    assert dump.comments == (
        "timezone from CRON_TZ, which cronie follows; Debian's cron ignores it",
    )
    assert report.settings["ping_uuid"] == "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
    assert index.settings["ping_uuid"] == "1b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3b"
    assert [job.comments[-1] for job in (report, index, mail, ledger)] == [
        f"reports already, through {what}"
        for what in ("Healthchecks", "runitor", "cronitor", "afterrun")
    ]
    assert [(one.source.line, one.reason.split(";")[0]) for one in result.unmapped] == [
        (28, "cron has no 'H', which is Jenkins': write the minute itself, such as 29"),
        (29, "hour '25' is out of range"),
        (30, "is neither NAME=VALUE nor a schedule with a command"),
    ]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/backup.sh", "backup"),
        ("cd /srv && ./run.py --x", "run"),
        ("flock -n /tmp/l /usr/bin/sync-it all", "sync-it-all"),
        ("nice -n 19 ionice -c3 /usr/bin/rsync -a a b", "rsync"),
        ("bash -c 'cd x && ./y.sh | z'", "y"),
        ("su - postgres -c 'pg_dump x | gzip > y'", "pg_dump"),
        ("/usr/bin/flock -w 0 /x.lock -c 'php y.php go'", "y-go"),
        ("FOO=1 timeout -k 5 30m /x/y", "y"),
        ("/usr/bin/env python3 -m foo.bar run", "foo.bar-run"),
        ("sleep 30; /x/z.sh", "z"),
        (". /etc/profile; /home/u/bin/go", "go"),
        ("chronic /x/y.pl", "y"),
        ("mysqldump -u root db | gzip > /b/$(date +%F).gz", "mysqldump"),
        ("docker exec -t web php x.php", "x"),
        ("docker exec -u www-data web php -f /var/www/cron.php", "cron"),
        ("docker exec -t web", "web"),
        ("cd /x && docker compose exec -T db mongodump --db=x", "mongodump"),
        ("docker-compose -f /x/a.yml -p shop run --rm backup", "backup"),
        ("docker compose -f a.yml up -d", "docker-compose"),
        ("docker system prune -f", "docker-system"),
        ("node --import tsx server/sync.ts", "sync"),
        ("npx tsx scripts/send.ts daily", "send-daily"),
        ("npm run report", "report"),
        ("/usr/bin/envdir /etc/env /usr/local/bin/backup-wale.sh", "backup-wale"),
        ("java -Xmx1g -jar /opt/x.jar", "x"),
        ("(/a/b &)", "b"),
        ("'/a b/c d.sh'", "c-d"),
        ("'unbalanced", "unbalanced"),
        ("| |", "job"),
    ],
)
def test_the_name_is_that_of_the_program(command: str, name: str) -> None:
    assert name_of(command) == name


@pytest.mark.parametrize(
    ("command", "name", "uuid"),
    [
        ("afterrun exec --timeout 1h backup -- /x", "backup", ""),
        ("/usr/bin/afterrun exec backup --timeout 1h -- /x", "backup", ""),
        ("x; afterrun ping nightly --exit-code $?", "nightly", ""),
        ("curl http://mon:10707/ping/nightly -d x=$?", "nightly", ""),
        ("curl http://mon:10707/ping/nightly/start; x", "nightly", ""),
        ("x && wget -q https://hc-ping.com/SECRETKEY/my-slug/0", "my-slug", ""),
        ("x; curl https://hc-ping.com/SECRETKEY/my-slug/$?", "my-slug", ""),
        ("curl https://cronitor.link/p/apikey/kP2/complete", "kP2", ""),
        ("cronitor --env prod exec kP2 /x", "kP2", ""),
        ("runitor -ping-key k -slug=my-slug -- /x", "my-slug", ""),
        (
            "x; curl https://hc.example.com/ping/0B6C8A52-5d5e-4a0c-8a4e-0f6f1d1c2b3a/$?",
            "",
            "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a",
        ),
    ],
)
def test_a_command_that_reports_keeps_its_name(
    command: str, name: str, uuid: str
) -> None:
    found = reported(command)

    assert found is not None
    assert (found.name, found.ping_uuid) == (name, uuid)


@pytest.mark.parametrize(
    "command",
    [
        "/x/afterrun.sh",
        "curl https://example.com/api/ping/x",
        "curl https://example.com/ping",
        "echo http://[bad",
    ],
)
def test_other_commands_do_not_report(command: str) -> None:
    assert reported(command) is None


def test_two_lines_that_report_as_one_job_are_one_job_with_both_schedules() -> None:
    text = "0 1 * * * afterrun exec a -- /x\n0 2 * * * afterrun exec a -- /x\n"

    (job,) = read([InputFile("crontab", text)]).jobs

    assert job.settings == {"schedule": ["0 1 * * *", "0 2 * * *"]}


@pytest.mark.parametrize(
    ("command", "background"),
    [
        ("/x &", True),
        ("/x &2>/dev/null", True),
        ("/x & # later", True),
        ("/x & /y", False),
        ("/x 2>&1", False),
        ("/x &> /dev/null", True),
        ("echo '&'", False),
    ],
)
def test_a_command_in_the_background_has_a_comment(
    command: str, background: bool
) -> None:
    (job,) = read([InputFile("crontab", f"@daily {command}")]).jobs

    assert ("runs in the background" in job.comments[-1]) is background


@pytest.mark.parametrize(
    ("command", "has_comment"),
    [
        ("flock -n /l /x", True),
        ("/usr/bin/flock -xn /l -c '/x'", True),
        ("cd /x && flock -w 10 /l /x", True),
        ("flock --nonblock /l /x", True),
        ("flock -n -E 0 /l /x", False),
        ("flock -E 0 -n /l /x", False),
        ("flock /l /x -n 5", False),
        ("/x/flock.sh -n", False),
        ("afterrun exec x -- flock -n /l /x", False),
    ],
)
def test_a_command_with_a_lock_has_a_comment(command: str, has_comment: bool) -> None:
    (job,) = read([InputFile("crontab", f"@daily {command}")]).jobs

    assert any("earlier run has the lock" in one for one in job.comments) is has_comment


def test_bash_redirects_with_an_ampersand() -> None:
    text = "SHELL=/bin/bash\n@daily /x &>> /log"

    (job,) = read([InputFile("crontab", text)]).jobs

    assert not any("background" in one for one in job.comments)


def test_variables_hold_for_the_lines_below() -> None:
    text = "0 1 * * * a\nCRON_TZ=Europe/Riga\n0 1 * * * b\nCRON_TZ=UTC\n0 1 * * * c"

    assert jobs_of(text, "Asia/Tokyo") == {
        "a": {"schedule": "0 1 * * *", "timezone": "Asia/Tokyo"},
        "b": {"schedule": "0 1 * * *", "timezone": "Europe/Riga"},
        "c": {"schedule": "0 1 * * *", "timezone": "UTC"},
    }


def test_an_unknown_time_zone_is_reported() -> None:
    result = read([InputFile("crontab", "CRON_TZ=Europe/Rigga\n@daily a")])

    assert result.jobs[0].settings == {}
    assert [str(one) for one in result.unmapped] == [
        (
            "crontab:2: CRON_TZ=Europe/Rigga: unknown time zone 'Europe/Rigga'; did you mean "
            "'Europe/Riga'?; imported without a schedule"
        )
    ]


@pytest.mark.parametrize("field", ["5L", "FRIL", "fri#2", "1,5L", "L"])
def test_syntax_of_other_systems_is_bad(field: str) -> None:
    _, (problem,) = cron_jobs([InputFile("crontab", f"0 1 * * {field} /x")])

    assert problem.reason.endswith("is no syntax of cron")


def test_july_is_no_last_day() -> None:
    assert cron_jobs([InputFile("crontab", "0 1 * JUL * /x")])[1] == []


def test_a_job_at_boot_has_no_schedule_and_is_reported() -> None:
    result = read([InputFile("crontab", "@reboot /x/start")], zone="UTC")

    assert result.jobs[0].settings == {}
    assert str(result.unmapped[0]).startswith(
        "crontab:1: @reboot /x/start: @reboot has no time"
    )


@pytest.mark.parametrize(
    ("name", "text", "user"),
    [
        ("/etc/crontab", "@daily bob /x", "bob"),
        ("deploy/cron.d/app", "@daily bob /x", "bob"),
        ("crontab", "@daily bob /x", ""),
        ("crontab", "@daily root /x\n@daily bob /x", "root"),
    ],
)
def test_the_column_of_users_is_recognized(name: str, text: str, user: str) -> None:
    jobs, _ = cron_jobs([InputFile(name, text)])

    assert jobs[0].line.user == user


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("A=b", ("A", "b")),
        ("A = b c  ", ("A", "b c")),
        ("A='b c ' ", ("A", "b c ")),
        ('"A B" = "c"', ("A B", "c")),
        ('A=""', ("A", "")),
        ("A=b'c", ("A", "b'c")),
        ("A=b # c", ("A", "b # c")),
        ("A='b' c", None),
        ("A=", None),
        ("* * * * * A=b c", None),
        ("@daily A=b c", None),
    ],
)
def test_assignments_are_read_as_cron_reads_them(
    line: str, pair: tuple[str, str] | None
) -> None:
    assert assignment(line) == pair


#: Lines that Debian's cron refuses, and lines that it accepts.
LINES = """\
* * * * * x|*/0 * * * * x|60 * * * * x|* * * * mon,FRI x|* * * jan-mar * x|@daily x
@Daily x|@midnight x|@reboot x|@every_minute x|A=|A=""|A = b c|"A"=b|'A B' = 'c d'
A='b' c|A=b'c| * * * * * x|0 0 * * 7 x|0 0 * * 8 x|0 0 0 * * x|*/5,7-9/2 * * * * x
1,,2 * * * * x|* * * * sunday x|H * * * * x|-5 * * * * x|?|0 0 * * ? x|00 02 * * * x
0 0 1-31/2 * * x|@yearlyx x|0 0 * * 1-7 x|+5 * * * * x|0 0 31 2 * x|text|# text""".replace(
    "\n", "|"
).split("|")


@pytest.mark.parametrize("line", LINES)
def test_lines_are_bad_if_the_program_crontab_refuses_them(line: str) -> None:
    _, unmapped = cron_jobs([InputFile("crontab", line)])

    result = subprocess.run(
        ["crontab", "-n", "-"], input=f"{line}\n", text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    if "invalid option" in result.stderr:  # a version that cannot only check
        pytest.skip("crontab has no option -n")
    assert bool(unmapped) == bool(result.returncode), result.stderr


@given(st.text("*/,-0123456789 \t@%#=abmonreboot'\"\\|&\n\r"))
def test_every_text_becomes_a_valid_configuration(text: str) -> None:
    result = validated(read([InputFile("crontab", text)], zone="Europe/Riga"))

    parse(render(result))
    lines = list(parse_lines(text, has_users=False))
    assert len(lines) == len({one.number for one in lines})
    for one in lines:
        if isinstance(one, CronLine):
            assert one.raw_command
            assert text.split("\n")[one.number - 1] == one.text


@given(st.text())
def test_every_command_has_a_name(command: str) -> None:
    assert name_of(command)
    reported(command)
