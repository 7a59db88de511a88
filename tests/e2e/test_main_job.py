"""A job reports, AfterRun judges, Prometheus scrapes, Alertmanager tells someone.

Real programs, real mails, a real backup; the shipped configuration files.
"""

from __future__ import annotations

import pytest

from . import story as evening
from .chain import assemble
from .conftest import Launch
from .story import Story


@pytest.fixture(scope="module")
def story(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Story:
    home = tmp_path_factory.mktemp("main-job")
    chain = assemble(home, evening.CONFIG)
    for program in chain.programs:
        launch(program)
    return evening.play(chain, home)


def test_x(story: Story) -> None:
    for m in story.at_the_end.mails:
        print("=====", m.to, "|", m.subject)
        print(m.text)
    for m in story.at_the_end.notifications:
        print(m)
    for m in story.at_the_end.slack:
        print(m)
    print({k: v for k, v in story.reports.items()})
    print([[r.answer.get("duplicate") for r in x] for x in story.repeats])
    print(story.good)
    for n in ("after_trouble", "after_restart", "at_the_end"):
        print(n, [m.subject for m in getattr(story, n).mails])
    assert 0
