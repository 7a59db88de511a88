"""A daemon in Kubernetes uses a changed ConfigMap, without a signal."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.daemon.daemon import Daemon, wait_until

FLAGS = ("--config.enable-auto-reload", "--config.auto-reload-interval=1s")


def swap(volume: Path, version: int, text: str) -> None:
    """Replace the file of *volume* as the kubelet does: by a link to another folder."""
    folder = volume / f"..version-{version}"
    folder.mkdir(parents=True)
    (folder / "afterrun.yml").write_text(text)
    link = volume / "..data_tmp"
    link.symlink_to(folder.name)
    link.replace(volume / "..data")


def test_a_configmap_is_followed(daemon: Daemon, tmp_path: Path) -> None:
    """A broken one keeps the last good one, and is logged once."""
    volume = tmp_path / "volume"
    swap(volume, 1, "jobs: {backup: {}}")
    (volume / "afterrun.yml").symlink_to(Path("..data", "afterrun.yml"))
    daemon.config.symlink_to(volume / "afterrun.yml")
    daemon.start(*FLAGS)

    swap(volume, 2, "jobs: {backup: {}, sync: {}}")
    wait_until(
        lambda: ("afterrun_job_runs_total", "sync") in daemon.series(), "it is used"
    )

    swap(volume, 3, "jobs: {backup: {grcae: 1m}}")
    wait_until(lambda: "config_refused" in daemon.log, "it is refused")
    series = daemon.series()
    assert series["afterrun_config_last_reload_successful", ""] == 0
    assert ("afterrun_job_runs_total", "sync") in series

    swap(volume, 4, "jobs: {backup: {}, mails: {}}")
    wait_until(
        lambda: ("afterrun_job_runs_total", "mails") in daemon.series(), "it is used"
    )
    assert daemon.log.count("config_refused") == 1
    assert daemon.series()["afterrun_config_last_reload_successful", ""] == 1
