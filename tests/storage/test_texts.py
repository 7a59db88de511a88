"""Texts are stored as they are, with every character that a client may send."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Condition, Outcome, Run
from afterrun_exporter.core.pushed_metrics import Family, Group
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.state import (
    AlertKey,
    AlertOpened,
    JobState,
    LogEntry,
    OpenAlert,
    Transition,
)
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.store import Decide, Store, update
from tests.fakes import MemoryStore
from tests.storage.decisions import T0, fresh, ran

TEXTS = {
    "nul": "a\0b",
    "nul alone": "\0",
    "escape": "\x10\0\x100\x10\x10",
    "emoji": "\U0001f600",
    "not normalized": "a\u0301 \u2028 \ufeff",
    "quotes": "'\"\\{},NULL",
    "a megabyte": "x\u00e9" * 333_333,
}


def everywhere(text: str) -> Decide:
    """All texts of a report are *text*."""
    run = Run(
        number=1,
        run_id=text,
        attempt=1,
        outcome=Outcome.OK,
        finished_at=T0,
        received_at=T0,
        message=text,
        metadata=text,
        config_commit=text,
    )
    # The name of a rule is part of an index in no database.
    alert = OpenAlert(key=AlertKey(Condition.VIOLATED, text), opened_at=T0, shown_at=T0)
    opened = AlertOpened(alert, text, text, run=1)

    def decide(_: JobState | None) -> Transition:
        return Transition(
            state=fresh(runs_total=1, alerts=(alert,), client_settings=text),
            runs=(run,),
            alerts=(opened,),
            logs=(LogEntry(T0, text, text, text),),
        )

    return decide


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_each_text_of_a_receiver_and_of_a_push_comes_back(
    store: Store, text: str
) -> None:
    receiver = JobReceiver(job="backup", type=ReceiverType.WEBHOOK, target=text)
    family = Family("gauge", text, {text: "1"})
    group = Group(labels=(("job", text),), job="backup", families={"rows": family})

    await store.add_receivers([receiver])
    await store.pushed()
    await store.save_pushed(group)

    assert [one.target for one in await store.receivers()] == [text]
    assert await store.pushed() == [group]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_each_text_of_a_report_comes_back(store: Store, text: str) -> None:
    await update(store, "backup", everywhere(text))

    (run,) = await store.runs("backup", 9)
    (log,) = await store.logs("backup")
    (alert,) = await store.alerts()
    assert {run.run_id, run.message, run.metadata, run.config_commit} == {text}
    assert {log.run_id, log.message, log.metadata} == {text}
    assert {alert.key.rule, alert.severity, alert.summary} == {text}


async def test_half_a_character_is_refused_alone(store: Store) -> None:
    """It cannot be encoded; the reports that arrive with it are recorded."""
    if isinstance(store, MemoryStore):
        pytest.skip("it encodes nothing")
    broken = update(store, "backup", everywhere("\ud83d"))
    other = update(store, "report", ran())

    with pytest.raises(Exception, match="surrogates") as caught:
        await broken
    await other

    assert not isinstance(caught.value, StorageError)
    assert "backup" not in store.states
    assert store.states["report"].runs_total == 1
