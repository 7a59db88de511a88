"""The daemon's URL, and credentials in it."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

DEFAULT_URL: Final = "http://127.0.0.1:10707"

#: Placeholder for a URL with credentials that cannot be parsed.
HIDDEN: Final = "***"


def public_url(url: str) -> str:
    """Return *url* without user and password, for people and for files.

    If their end is ambiguous, all but the scheme is hidden.
    """
    if "@" not in url:
        return url.rstrip("/")
    parts = _split(url)
    if parts is None:
        scheme = url.partition("://")[0]
        return f"{scheme}://{HIDDEN}" if scheme in {"http", "https"} else HIDDEN
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def target(url: str) -> SplitResult:
    """Return the parts of *url*; raises ValueError, without its credentials, if unusable."""
    parts = _split(url)
    if parts is not None:
        return parts
    if "@" in url:
        raise ValueError(
            f"the credentials in --url {public_url(url)!r} have no clear end; write "
            "/ ? # @ in a user or password as %2F %3F %23 %40"
        )
    raise ValueError(
        f"--url {url!r} is not an http or https URL: write it like {DEFAULT_URL}"
    )


def authorization(url: str, token: str) -> str:
    """Return the value of the header for *token*, else for the credentials in *url*.

    "" if there are none; raises ValueError if a header cannot contain them.
    """
    if token:
        if not (token.isascii() and token.isprintable()):
            raise ValueError(
                "the token has a line break or another character that a header cannot "
                "contain; write one token, and nothing else, into AFTERRUN_TOKEN or its file"
            )
        return f"Bearer {token}"
    parts = _split(url)
    user, at, _ = parts.netloc.rpartition("@") if parts is not None else ("", "", "")
    if not at:
        return ""
    name, _, password = user.partition(":")
    pair = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return f"Basic {b2a_base64(pair, newline=False).decode()}"


def hidden(text: str, header: str) -> str:
    """Return *text*, which another program wrote, without the secret in *header*.

    A proxy may repeat the headers of a request in its answer.
    """
    secret = header.partition(" ")[2]
    return text.replace(secret, HIDDEN) if secret else text


def _split(url: str) -> SplitResult | None:
    """Return the parts of *url*; None if it is not a valid URL of a daemon."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        # A "/" in a password ends the host too early: then "@" comes later.
        usable = usable and "@" not in parts._replace(netloc="").geturl()
        _ = parts.port
    except ValueError:
        return None
    return parts if usable else None
