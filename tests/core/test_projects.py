"""Projects are found by their keys, of which only digests are known."""

from __future__ import annotations

from afterrun_exporter.core.projects import Project, by_api_key, by_ping_key
from afterrun_exporter.core.secrets import digest

SHOP = Project(name="shop", ping_key=digest("shop-ping"), api_key=digest("shop-api"))
DATA = Project(name="data", ping_key=digest("data-ping"))


def test_a_project_is_found_by_the_key_for_pings() -> None:
    assert by_ping_key([SHOP, DATA], "data-ping") is DATA
    assert by_ping_key([SHOP, DATA], "shop-api") is None


def test_a_project_is_found_by_the_key_for_management() -> None:
    assert by_api_key([SHOP, DATA], "shop-api") is SHOP
    assert by_api_key([SHOP, DATA], "data-ping") is None


def test_a_missing_key_matches_nothing() -> None:
    assert by_api_key([DATA], "") is None
