"""Jobs from timers of systemd."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.systemd import DropIn, imported
from afterrun_exporter.importers.systemd_units import seconds, units

UUID = "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
BACKUP_TIMER = """\
[Unit]
Description=Run the backup every night

# Twice, to be sure.
[Timer]
OnCalendar=*-*-* 02:00:00
OnCalendar = Sat 14:00
RandomizedDelaySec=1h 30min
Persistent=true

[Install]
WantedBy=timers.target
"""
BACKUP_SERVICE = """\
[Unit]
Description=Backup of %p
[Service]
Type=oneshot
TimeoutStartSec=2h
ExecStart=/opt/backup \\
    # all of it
    --target "/srv/my backups" \\
    --host %H $OPTIONS
"""


def of(
    files: dict[str, str], zone: str = "Europe/Riga"
) -> tuple[Imported, tuple[DropIn, ...]]:
    texts = [InputFile(name, text) for name, text in files.items()]
    return imported(texts, zone=zone, afterrun="/usr/bin/afterrun")


def settings_of(timer: str, service: str = "", zone: str = "") -> dict[str, Any]:
    files = {"x.timer": f"[Timer]\n{timer}"}
    if service:
        files["x.service"] = f"[Service]\n{service}"
    (job,) = of(files, zone)[0].jobs
    return dict(job.settings)


def problems_of(timer: str, service: str = "") -> list[str]:
    files = {"x.timer": f"[Timer]\n{timer}", "x.service": f"[Service]\n{service}"}
    return [str(one) for one in of(files)[0].unmapped]


def test_a_timer_and_its_service_are_one_job() -> None:
    result, drop_ins = of(
        {"backup.timer": BACKUP_TIMER, "backup.service": BACKUP_SERVICE}
    )

    (job,) = result.jobs
    assert (job.name, str(job.source)) == ("backup", "backup.timer:6")
    assert job.settings == {
        "description": "Backup of backup",
        "oncalendar": ["*-*-* 02:00:00", "Sat 14:00"],
        "timezone": "Europe/Riga",
        "grace": "1h36m",
        "max_runtime": "2h",
    }
    assert job.comments == (
        "timezone of this machine",
        "grace: 5m, RandomizedDelaySec 1h 30min, AccuracySec 1min",
        "Persistent=: a run that was missed while the machine was off starts after boot",
    )
    assert result.unmapped == ()
    assert drop_ins == (
        DropIn(
            "backup.service.d/afterrun.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/afterrun exec backup -- "
            '/opt/backup --target "/srv/my backups" --host %H $OPTIONS\n',
        ),
    )


@pytest.mark.parametrize(
    ("timer", "settings"),
    [
        ("OnUnitActiveSec=1h", {"every": "1h"}),
        ("OnBootSec=5min\nOnUnitInactiveSec=1d 12h", {"every": "1d12h"}),
        ("OnUnitActiveSec=90", {"every": "1m30s"}),
        ("OnUnitActiveSec=2h\nOnUnitActiveSec=1h", {"every": "1h"}),
        ("OnUnitActiveSec=1h\nAccuracySec=10min", {"every": "1h", "grace": "15m"}),
        ("OnCalendar=daily", {"oncalendar": "daily"}),
        ("OnCalendar=hourly\nOnCalendar=\nOnCalendar=daily", {"oncalendar": "daily"}),
        ("OnUnitActiveSec=1h\nOnCalendar=\nOnCalendar=daily", {"oncalendar": "daily"}),
        ("OnCalendar=daily\nOnCalendar=daily", {"oncalendar": "daily"}),
        (
            "OnCalendar=Mon  *-*-* 03:00 America/New_York",
            {"oncalendar": "Mon *-*-* 03:00", "timezone": "America/New_York"},
        ),
        (
            "OnCalendar=daily\nRandomizedOffsetSec=2h",
            {"oncalendar": "daily", "grace": "2h6m"},
        ),
        ("OnCalendar=*:0/15 UTC", {"oncalendar": "*:0/15", "timezone": "UTC"}),
        ("OnBootSec=5min", {}),
        ("Unit=x.service", {}),
    ],
)
def test_triggers_become_a_schedule(timer: str, settings: dict[str, Any]) -> None:
    assert settings_of(timer) == settings


@pytest.mark.parametrize(
    ("timer", "settings"),
    [
        (
            "OnCalendar=daily UTC\nOnCalendar=weekly",
            {"oncalendar": ["daily UTC", "weekly"], "timezone": "Europe/Riga"},
        ),
        (
            "OnCalendar=daily UTC\nOnCalendar=daily Asia/Tokyo",
            {"oncalendar": ["daily UTC", "daily Asia/Tokyo"]},
        ),
    ],
)
def test_lines_with_several_time_zones_keep_them(
    timer: str, settings: dict[str, Any]
) -> None:
    assert settings_of(timer, zone="Europe/Riga") == settings


@pytest.mark.parametrize(
    ("service", "limit"),
    [
        ("Type=oneshot\nTimeoutStartSec=30min", "30m"),
        ("Type=oneshot\nTimeoutSec=90", "1m30s"),
        ("Type=oneshot\nTimeoutStartSec=infinity", None),
        ("Type=oneshot\nTimeoutStartSec=0", None),
        ("Type=oneshot\nRuntimeMaxSec=1h", None),
        ("RuntimeMaxSec=1h", "1h"),
        ("TimeoutStartSec=30min", None),
    ],
)
def test_the_time_limit_of_the_service_is_that_of_a_run(
    service: str, limit: str | None
) -> None:
    assert settings_of("OnCalendar=daily", service).get("max_runtime") == limit


@pytest.mark.parametrize("span", ["3661d", "11years", "9" * 400 + "s"])
def test_a_duration_that_is_too_long_is_reported(span: str) -> None:
    timer = f"OnCalendar=daily\nRandomizedDelaySec={span}"
    problems = problems_of(timer, f"Type=oneshot\nTimeoutStartSec={span}")

    assert len(problems) == 2
    assert all("is longer than ten years: not imported" in one for one in problems)
    assert "max_runtime" not in settings_of(timer, f"RuntimeMaxSec={span}")


@pytest.mark.parametrize(
    ("timer", "problems"),
    [
        ("OnBootSec=5min", ["OnBootSec=5min: runs once: imported without a schedule"]),
        (
            "OnCalendar=daily\nOnUnitActiveSec=1h",
            [
                (
                    "OnUnitActiveSec=1h: is not imported: OnCalendar= decides when runs are "
                    "due"
                )
            ],
        ),
        (
            "OnUnitActiveSec=often",
            ["OnUnitActiveSec=often: 'often' is not a time span of systemd"],
        ),
        (
            "OnCalendar=daily\nOnClockChange=yes",
            ["OnClockChange=yes: a run after such a change is not expected"],
        ),
        (
            "OnCalendar=daily\nOnCalendar=weekly # on Mondays",
            [
                (
                    "OnCalendar=weekly # on Mondays: systemd reads the comment as part of "
                    "the value, and ignores the line: put the comment on a line of its own"
                )
            ],
        ),
        ("OnCalendar=daily\ntext", ["text: is neither [SECTION] nor KEY=VALUE"]),
    ],
)
def test_what_is_not_mapped_is_reported_with_its_line(
    timer: str, problems: list[str]
) -> None:
    found = problems_of(timer)

    assert [one.partition(": ")[2] for one in found] == problems
    assert all(re.match(r"x\.timer:\d+: ", one) for one in found)


def test_drop_ins_change_the_unit_in_the_order_of_their_names() -> None:
    files = {
        "/etc/systemd/system/a.timer.d/20-b.conf": "[Timer]\nOnCalendar=weekly",
        "/etc/systemd/system/a.timer.d/10-a.conf": "[Timer]\nOnCalendar=",
        "/usr/lib/systemd/system/a.timer": "[Timer]\nOnCalendar=daily",
        "/usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/a",
        "/etc/systemd/system/a.service.d/x.conf": "[Unit]\nDescription=A",
        "/etc/systemd/system/b.timer.d/x.conf": "[Timer]\nOnCalendar=weekly",
    }
    result, _ = of(files)

    assert result.jobs[0].settings == {
        "description": "A",
        "oncalendar": "weekly",
        "timezone": "Europe/Riga",
    }
    assert [str(one) for one in result.unmapped] == [
        (
            "/etc/systemd/system/b.timer.d/x.conf:1: x.conf: changes b.timer, which is not "
            "given"
        )
    ]


def test_a_unit_in_etc_replaces_that_of_the_distribution() -> None:
    files = {
        "/lib/systemd/system/a.timer": "[Timer]\nOnCalendar=daily",
        "/etc/systemd/system/a.timer": "[Timer]\nOnCalendar=weekly",
    }
    assert [job.settings["oncalendar"] for job in of(files)[0].jobs] == ["weekly"]


def test_the_output_of_systemctl_cat_is_read() -> None:
    text = (
        f"# /lib/systemd/system/backup.timer\n{BACKUP_TIMER}\n"
        "# /etc/systemd/system/backup.timer.d/override.conf\n[Timer]\nOnCalendar=\n"
        "OnCalendar=weekly\n\n"
        f"# /lib/systemd/system/backup.service\n{BACKUP_SERVICE}"
    )
    result, drop_ins = of({"stdin": text})

    (job,) = result.jobs
    assert job.settings["oncalendar"] == "weekly"
    assert job.settings["max_runtime"] == "2h"
    assert text.splitlines()[job.source.line - 1] == "OnCalendar=weekly"
    assert len(drop_ins) == 1


def test_a_template_needs_its_instances() -> None:
    files = {
        "dump@.timer": "[Timer]\nOnCalendar=daily",
        "dump@shop-eu.timer": "[Timer]\nOnCalendar=daily\nUnit=dump@%i.service",
        "dump@.service": "[Unit]\nDescription=Dump %i of %I\n[Service]\nExecStart=/d %i",
    }
    result, drop_ins = of(files)

    (job,) = result.jobs
    assert job.name == "dump-shop-eu"
    assert job.settings["description"] == "Dump shop-eu of shop/eu"
    assert [one.path for one in drop_ins] == ["dump@shop-eu.service.d/afterrun.conf"]
    assert "exec dump-shop-eu -- /d %i" in drop_ins[0].text
    assert [str(one) for one in result.unmapped] == [
        (
            "dump@.timer:1: dump@.timer: is a template: import its instances, as files or "
            "links with names such as dump@NAME.timer"
        )
    ]


def test_a_masked_timer_is_reported() -> None:
    result, _ = of({"a.timer": "", "b.timer": "[Timer]\nOnCalendar=daily"})

    assert [job.name for job in result.jobs] == ["b"]
    assert "is empty, so the timer is masked" in str(result.unmapped[0])


def test_files_without_a_timer_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"x\.service: has no timer"):
        of({"x.service": "[Service]\nExecStart=/x"})


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("Type=notify\nExecStart=/x", "Type=notify needs the process itself"),
        (
            "ExecStart=/x\nExecStart=/y",
            "it is several commands: put them into a script",
        ),
        ("ExecStart=/x ; /y", "it is several commands: put them into a script"),
        ("ExecStart=@/x arg0", "its prefix @ is for the program itself"),
    ],
)
def test_a_service_that_cannot_be_wrapped_is_reported(
    service: str, reason: str
) -> None:
    (problem,) = problems_of("OnCalendar=daily", service)

    assert problem.endswith(f": gets no drop-in: {reason}")


def test_a_service_that_reports_already_gets_no_drop_in() -> None:
    service = "[Service]\nExecStart=/usr/bin/afterrun exec x -- /x"

    assert of({"x.timer": BACKUP_TIMER, "x.service": service})[1] == ()


@pytest.mark.parametrize(
    ("key", "command", "name", "uuid"),
    [
        ("ExecStart", "/x/afterrun exec backup -- /x", "backup", None),
        ("ExecStartPost", f"/usr/bin/curl -fsS https://hc-ping.com/{UUID}", "x", UUID),
        (
            "ExecStopPost",
            f"curl https://hc-ping.com/{UUID}/${{EXIT_STATUS}}",
            "x",
            UUID,
        ),
        ("ExecStartPre", "curl http://mon:10707/ping/nightly/start", "nightly", None),
    ],
)
def test_a_service_that_reports_already_keeps_its_name(
    key: str, command: str, name: str, uuid: str | None
) -> None:
    commands = f"ExecStart=/x\n{key}={command}"
    timer, service = "[Timer]\nOnCalendar=daily", f"[Service]\n{commands}"
    result, drop_ins = of({"x.timer": timer, "x.service": service})

    (job,) = result.jobs
    assert (job.name, job.settings.get("ping_uuid")) == (name, uuid)
    assert job.comments[-1].startswith("reports already, through ")
    assert drop_ins == ()


def test_a_prefix_is_before_the_names_of_timers() -> None:
    files = [
        InputFile("x.timer", "[Timer]\nOnCalendar=daily"),
        InputFile("x.service", "[Service]\nExecStart=/x"),
    ]
    result, (drop_in,) = imported(
        files, zone="", afterrun="/usr/bin/afterrun", prefix="web1-"
    )

    assert result.jobs[0].name == "web1-x"
    assert drop_in.text.endswith("exec web1-x -- /x\n")


def test_two_timers_of_one_service_get_one_drop_in() -> None:
    files = {
        "a.timer": "[Timer]\nOnCalendar=daily\nUnit=x.service",
        "b.timer": "[Timer]\nOnCalendar=weekly\nUnit=x.service",
        "x.service": "[Service]\nExecStart=/x",
    }
    result, drop_ins = of(files)

    assert len(drop_ins) == 1
    assert str(result.unmapped[0]).startswith("b.timer:2: b.timer: starts the same")


@pytest.mark.parametrize(
    "command",
    [
        "/bin/true",
        "-/bin/false",
        "+/bin/sh -c 'echo \"$HOME\" %n; exit 3'",
        "/bin/echo \"a b\" 'c d' $FOO ${BAR} %%",
        ":/bin/echo $literal",
    ],
)
@pytest.mark.parametrize("program", ["/bin/env", "/tmp/a b%c/env"])  # noqa: S108
def test_systemd_accepts_the_drop_in(
    command: str, program: str, tmp_path: Path
) -> None:
    timer = "[Timer]\nOnCalendar=daily\n"
    service = f"[Service]\nType=oneshot\nExecStart={command}\n"
    files = [InputFile("job.timer", timer), InputFile("job.service", service)]
    _, (drop_in,) = imported(files, zone="", afterrun=program)
    if " " in program:
        drop_in = DropIn(drop_in.path, drop_in.text.replace("/tmp/", f"{tmp_path}/"))  # noqa: S108
        executable = tmp_path / "a b%c" / "env"
        executable.parent.mkdir()
        executable.symlink_to("/bin/env")
    (tmp_path / "job.timer").write_text(timer, "utf-8")
    (tmp_path / "job.service").write_text(service, "utf-8")
    path = tmp_path / drop_in.path
    path.parent.mkdir()
    path.write_text(drop_in.text, "utf-8")

    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "job.service")],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system"},
    )

    ours = [line for line in result.stderr.splitlines() if "job." in line]
    assert (result.returncode, ours) == (0, []), result.stderr


#: Time spans of all units.
SPANS = ["5", "1h 30min", "90s", "1.5h", "2 weeks", "3d12h", "1M", "1y", "500ms",
         "1hr2m3sec", "20us", "2 days 4 hours", "1month"]  # fmt: skip


@pytest.mark.parametrize("span", SPANS)
def test_time_spans_are_read_as_systemd_reads_them(span: str) -> None:
    result = subprocess.run(
        ["systemd-analyze", "timespan", span],
        capture_output=True,
        text=True,
        check=True,
    )
    (micros,) = re.findall(r"μs: (\d+)", result.stdout)

    value = seconds(span)

    assert value is not None
    assert round(value * 1e6) == int(micros)


@given(st.text("[]Timer=\n\\#; OnCalendarUnitActiveSec%i0159:*-@."))
def test_every_text_is_read(text: str) -> None:
    files = [InputFile("x.timer", f"[Timer]\n{text}"), InputFile("y", text)]

    units(files)
    imported(files, zone="UTC", afterrun="/a")


def test_the_command_reads_directories_and_prints_drop_ins(tmp_path: Path) -> None:
    (tmp_path / "backup.timer").write_text("[Timer]\nOnUnitActiveSec=1h\n", "utf-8")
    (tmp_path / "backup.service").write_text(BACKUP_SERVICE, "utf-8")
    (tmp_path / "dump@.timer").write_text("[Timer]\nOnUnitActiveSec=2h\n", "utf-8")
    wants = tmp_path / "timers.target.wants"
    wants.mkdir()
    (wants / "backup.timer").symlink_to("../backup.timer")
    (wants / "dump@shop.timer").symlink_to("../dump@.timer")
    command = ["import", "systemd", str(tmp_path), "--afterrun=/usr/bin/afterrun"]

    result = CliRunner().invoke(afterrun, command)

    assert result.exit_code == 3
    assert (
        "  backup:\n    description: Backup of backup\n    every: 1h\n" in result.stdout
    )
    assert "  dump-shop:\n    every: 2h\n" in result.stdout
    assert result.stdout.endswith(
        "\n# Drop-ins that make the services report, for /etc/systemd/system:\n#\n"
        "# backup.service.d/afterrun.conf:\n# [Service]\n# ExecStart=\n"
        "# ExecStart=/usr/bin/afterrun exec backup -- /opt/backup --target "
        '"/srv/my backups" --host %H $OPTIONS\n'
    )
    assert "dump@.timer: is a template" in result.stderr
