"""Passwords of users: checked beside everything else, and once."""

from __future__ import annotations

import asyncio
import threading

import bcrypt
import pytest

from afterrun_exporter.auth.passwords import MOST_WAITING, REMEMBERED, Passwords
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.errors import TooManyLoginsError


def kept(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that passwords have been held against."""
    found: list[bytes] = []
    check = bcrypt.checkpw

    def noted(password: bytes, hashed: bytes) -> bool:
        found.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    return found


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        ("anna", "secret", True),
        ("anna", "Secret", False),
        ("anna", "", False),
        ("anna", "secret\0", False),
        ("bert", "secret", False),
        ("", "", False),
        ("anna:secret", "", False),
        ("long", "x" * 72, True),
        # bcrypt has never looked any further.
        ("long", "x" * 100, True),
        ("anna", "\ud800", False),
    ],
)
async def test_a_password_is_that_of_its_user(
    user: str, password: str, right: bool
) -> None:
    known = Passwords({"anna": kept(b"secret"), "long": kept(b"x" * 72)})

    assert await known.is_right(user, password) is right
    assert known.is_verified(user, password) is right
    assert await known.is_right(user, password) is right


async def test_where_there_are_no_users_nobody_is_one(checks: list[bytes]) -> None:
    assert not await Passwords().is_right("anna", "secret")
    assert checks == []


async def test_a_password_is_checked_once(checks: list[bytes]) -> None:
    """A scrape every few seconds, and ten at a time, are one check."""
    known = Passwords({"anna": kept(b"secret")})

    many = await asyncio.gather(*(known.is_right("anna", "secret") for _ in range(10)))
    wrong = [await known.is_right("anna", "wrong") for _ in range(10)]

    assert many == [True] * 10
    assert wrong == [False] * 10
    assert len(checks) == 2


async def test_who_is_no_user_takes_as_long_as_the_dearest_one(
    checks: list[bytes],
) -> None:
    """Or it could be told from the time which users there are."""
    hashes = {"anna": kept(b"secret", 4), "bert": kept(b"secret", 5)}
    known = Passwords(hashes)

    assert not await known.is_right("nobody", "secret")

    assert checks == [hashes["bert"].encode()]


async def test_one_who_guesses_cannot_drive_out_those_who_know() -> None:
    known = Passwords({"anna": kept(b"secret")})
    await known.is_right("anna", "secret")

    for number in range(REMEMBERED + 10):
        assert not await known.is_right("anna", f"guess {number}")

    assert known.is_verified("anna", "secret")


async def test_more_than_can_be_checked_are_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those who are known are let in meanwhile."""
    known = Passwords({"anna": kept(b"secret")})
    await known.is_right("anna", "secret")
    may_end, check = threading.Event(), bcrypt.checkpw

    def checked_late(password: bytes, hashed: bytes) -> bool:
        may_end.wait()
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checked_late)
    guesses = [
        asyncio.create_task(known.is_right("anna", f"{n}"))
        for n in range(MOST_WAITING + 5)
    ]
    await yield_to_loop()
    is_let_in = await known.is_right("anna", "secret")
    may_end.set()
    results = await asyncio.gather(*guesses, return_exceptions=True)

    assert is_let_in
    away = [one for one in results if isinstance(one, TooManyLoginsError)]
    assert len(away) == 5
    assert results.count(False) == MOST_WAITING
