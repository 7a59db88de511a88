"""Who may do what, and how a token is recognised."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.auth.authenticator import Authenticator
from afterrun_exporter.auth.callers import ANYBODY, Caller, Scope
from afterrun_exporter.auth.credentials import Credentials
from afterrun_exporter.auth.tokens import Token, callers, new_token
from afterrun_exporter.core.secrets import digest


def caller(*scopes: Scope, jobs: str | None = None) -> Caller:
    return Token("somebody", digest("x"), frozenset(scopes), jobs).caller()


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize("asked", Scope)
def test_a_scope_allows_itself_and_admin_everything(held: Scope, asked: Scope) -> None:
    assert caller(held).may(asked) is (held in {asked, Scope.ADMIN})


@pytest.mark.parametrize(
    ("pattern", "job", "allowed"),
    [
        (None, "backup", True),
        ("backup", "backup", True),
        ("backup", "backup-2", False),
        ("backup", "my-backup", False),
        ("backup-.*", "backup-2", True),
        ("a|b", "b", True),
        ("a|b", "bc", False),
        ("", "backup", False),
        ("backup$", "backup\n", False),
    ],
)
def test_a_pattern_fits_the_whole_name_of_a_job(
    pattern: str | None, job: str, allowed: bool
) -> None:
    """One for `backup` is not one for `backup-of-somebody-else`."""
    found = caller(Scope.PING, jobs=pattern)

    assert found.may(Scope.PING, job) is allowed
    assert found.may(Scope.PING)
    assert not found.may(Scope.READ, job)


def test_where_there_are_no_locks_anybody_may_do_everything() -> None:
    assert all(ANYBODY.may(scope, "backup") for scope in Scope)


@given(tokens=st.lists(st.text(min_size=1), unique=True, min_size=1), other=st.text())
def test_a_token_is_known_by_its_digest_and_nothing_else_is(
    tokens: list[str], other: str
) -> None:
    """Whatever a client sends in its place."""
    kept = [
        Token(str(number), digest(token), frozenset({Scope.PING}))
        for number, token in enumerate(tokens)
    ]
    authenticator = Authenticator()
    authenticator.trust_tokens(callers(kept))

    async def find(*candidates: str) -> list[Caller | None]:
        return [await authenticator.caller(Credentials((one,))) for one in candidates]

    found = asyncio.run(find(*tokens))
    assert [one.name for one in found if one] == [token.name for token in kept]
    assert (asyncio.run(find(other)) != [None]) is (other in tokens)
    assert not any(asyncio.run(find(*(token.hash for token in kept))))


def test_no_two_new_tokens_are_the_same_and_each_fits_a_url() -> None:
    made = {new_token() for _ in range(100)}

    assert len(made) == 100
    assert all(
        len(one) > 40 and one.replace("_", "").replace("-", "").isalnum()
        for one in made
    )
