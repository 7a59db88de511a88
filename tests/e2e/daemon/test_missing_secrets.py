"""A secret of the managed Alertmanager that is missing."""

from __future__ import annotations

from tests.e2e.daemon.daemon import Daemon, wait_until

CONFIG = """\
alertmanager:
  config_file: am/alertmanager.yml
  receivers:
    oncall:
      - slack: {url_file: secrets/slack, channel: "#a"}
jobs: {}
"""


def test_a_missing_secret_is_in_the_log_and_in_the_metrics(daemon: Daemon) -> None:
    """And `afterrun check` says which line of the file needs it."""
    daemon.configure(CONFIG)
    daemon.start()
    secret = daemon.config.parent / "am/secrets/slack"

    def missing() -> float | None:
        return daemon.series().get(("afterrun_alertmanager_missing_secrets", ""))

    wait_until(lambda: missing() == 1, "it has looked for the secret")

    assert daemon.log.count("msg=alertmanager_secret_missing") == 1
    assert str(secret) in daemon.log
