"""URLs of databases: all parts are read or refused, and passwords never display_name."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.address import Host, address_of, display_name

SECRET = "p/@:50%"  # noqa: S105
URL = "postgresql://afterrun@db.example/afterrun"
LINK_LOCAL = Host("fe80::1%eth0")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        (URL, [Host("db.example")]),
        ("postgres://db.example:6432/x", [Host("db.example", 6432)]),
        ("postgresql://a:1,b,[::1]:2/x", [Host("a", 1), Host("b"), Host("::1", 2)]),
        ("postgresql://u:p@[::1]:2,[fe80::1%eth0]/x", [Host("::1", 2), LINK_LOCAL]),
        ("postgresql:///x?host=/run/postgresql", [Host("/run/postgresql")]),
        ("postgresql://%2Frun%2Fpostgresql/x", [Host("/run/postgresql")]),
        ("postgresql://u@/x?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
        ("postgresql://u@/x?host=a,b&port=1", [Host("a", 1), Host("b", 1)]),
        ("postgresql:///x", [Host()]),
    ],
)
def test_a_url_names_one_host_or_several(url: str, hosts: list[Host]) -> None:
    assert [*address_of(url).hosts] == hosts


def test_all_parts_of_a_url_become_arguments_of_the_driver() -> None:
    address = address_of(
        f"postgres://a%40b:{quote(SECRET, safe='')}@db:6432/after%20run"
        "?sslmode=require&pooler=transaction&application_name=one&connect_timeout=5"
    )

    options = address.options(address.hosts[0])

    assert options.pop("dsn") == (
        "postgresql://?sslmode=require&target_session_attrs=read-write"
    )
    assert options == {
        "host": "db",
        "port": 6432,
        "user": "a@b",
        "password": SECRET,
        "database": "after run",
    }
    assert address.is_pooled
    assert address.settings == {"application_name": "one"}


def test_user_password_and_database_may_be_parameters() -> None:
    address = address_of("postgresql://db?user=a&password=b&dbname=c")

    options = address.options(address.hosts[0])

    assert (options["user"], options["password"], options["database"]) == tuple("abc")


def test_a_password_from_elsewhere_replaces_that_of_the_url_at_each_connection() -> (
    None
):
    passwords = iter(["first", None])
    address = address_of("postgresql://u:old@db/x", lambda: next(passwords))

    found = [address.options(Host("db"))["password"] for _ in range(2)]

    assert found == ["first", "old"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (
            f"{URL}?sslmod=require",
            "unknown parameter 'sslmod'; did you mean 'sslmode'?",
        ),
        (f"{URL}?pooler=session", "pooler=session is unknown: use pooler=transaction"),
        (f"{URL}?pooler=transaction&options=-cx%3Dy", "options cannot be used with"),
        (f"{URL}?channel_binding=require", "channel_binding=require is not supported"),
        (f"{URL}?target_session_attrs=standby", "a server that refuses writes"),
        ("postgresql://db:65536/x", "the port '65536' is not a number from 1 to 65535"),
        ("postgresql://db:http/x", "the port 'http' is not a number"),
        ("postgresql:///x?host=a,b,c&port=1,2", "host has 'a,b,c', but port has '1,2'"),
        ("mysql://db/x", "the URL must begin with postgresql://"),
        *(
            (f"postgresql://{host}/x", f"the host {host!r} is no IPv6 address such as")
            for host in ("[::1", "::1]", "[a]", "[::1]5432", "a[::1]", "[[::1]]:1")
        ),
    ],
)
def test_a_wrong_url_is_refused_with_the_way_out(url: str, problem: str) -> None:
    with pytest.raises(StorageError) as caught:
        address_of(url)

    assert problem in str(caught.value)


def test_all_problems_of_a_url_are_reported_at_once() -> None:
    with pytest.raises(StorageError, match=r"port 'x'.*'colour'.*pooler=no"):
        address_of("postgresql://db:x/x?colour=red&pooler=no")


@given(st.text(st.sampled_from("/?#@:%&=[],a1é"), min_size=1))
def test_no_text_has_the_password(password: str) -> None:
    marked = f"MARK{password}MARK"
    for secret in (quote(marked, safe=""), quote(marked), marked):
        for url in (
            f"postgresql://me:{secret}@db.example/afterrun?sslmode=require",
            f"postgresql://db.example/x?password={secret}&colour=red",
        ):
            texts = [display_name(url)]
            try:
                address = address_of(url)
            except StorageError as error:
                texts.append(str(error))
            else:
                quoting = f"invalid: {url} or {marked}"
                texts += [str(address), repr(address), address.without_secrets(quoting)]

            assert not any("MARK" in text for text in texts)
