"""A law: whatever happens, and in whatever order, in the end everybody knows."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.notifications import RENEW_EVERY
from tests.alertmanager.chain import A, B, Chain
from tests.copies import replace
from tests.core.jobs import BACKUP
from tests.examples import examples

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.sampled_from([Outcome.OK, Outcome.FAIL])),
        st.tuples(st.just("wait"), st.sampled_from([1, 9, 30, 61, 149, 400, 4000])),
        st.tuples(st.just("switch"), st.sampled_from([A, B])),
        st.tuples(st.just("severity"), st.sampled_from(["warning", "critical"])),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=examples(60))
@given(ACTS)
async def test_in_the_end_everybody_knows(acts: list[tuple[str, Any]]) -> None:
    """What holds is firing, what does not is over, and every alert was heard of."""
    chain = await Chain(None, replace(BACKUP, schedule=None)).start()
    opened = {label for act in acts for label in [await play(chain, *act)] if label}
    for url in (A, B):
        chain.alertmanagers[url].is_up = True
    for _ in range(20):
        await chain.wait(RENEW_EVERY)

    firing = {label} if (label := holds(chain)) else set()
    for one in (chain.a, chain.b):
        assert one.firing(chain.clock.now()) == firing
        assert {what for what, _, _ in one.said} == opened
        for what in opened - firing:
            assert one.told(what)[0] == "firing"
            assert one.told(what)[-1] == "resolved"
    assert len(chain.store.outbox.notices) == len(firing)
    assert all(waiting == 0 for *_, waiting in chain.notifier.counts())
    await chain.stop()


async def play(chain: Chain, what: str, how: Any) -> str:
    """Let something happen; return what holds afterwards."""
    if what == "report":
        await chain.report(how)
        await chain.wait(1)
    elif what == "wait":
        await chain.wait(how)
    elif what == "switch":
        chain.alertmanagers[how].is_up = not chain.alertmanagers[how].is_up
    elif what == "severity":
        await chain.reload(replace(chain.jobs[0], severity=how))
    else:
        await chain.stop()
        await chain.start()
    return holds(chain)


def holds(chain: Chain) -> str:
    """Return the alert that is open, "" for none."""
    is_open = chain.store.states["backup"].alerts
    return f"backup {chain.jobs[0].severity}" if is_open else ""
