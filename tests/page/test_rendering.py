from __future__ import annotations

import threading

import pytest
from jinja2 import Environment

from afterrun_exporter.page import rendering
from tests.page.conftest import Pages


@pytest.mark.thorough
async def test_no_template_is_read_while_pings_wait(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor those that a page includes: the largest take tens of milliseconds."""
    readers = []
    compiled = Environment.compile

    def compile_(*args: object, **kwargs: object) -> object:
        readers.append(threading.current_thread())
        return compiled(*args, **kwargs)  # type: ignore[call-overload]

    rendering._read.clear()
    assert rendering._TEMPLATES.cache is not None
    rendering._TEMPLATES.cache.clear()
    monkeypatch.setattr(Environment, "compile", compile_)

    await pages.get("/jobs/backup")

    assert readers
    assert threading.main_thread() not in readers
