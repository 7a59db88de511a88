"""Types of values in ``alertmanager:``, with validation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from afterrun_exporter import conventions as names
from afterrun_exporter.config.values import Declared, DistinctKeys, Line, distinct
from afterrun_exporter.core.did_you_mean import did_you_mean, unknown_value
from afterrun_exporter.core.model import ROUTED, Condition
from afterrun_exporter.core.routing import DISCARD, JOB_RECEIVER, SCRAPE_LABELS
from afterrun_exporter.validation_messages import quote

#: Labels of alerts, except declared labels and those that Prometheus adds.
_CARRIED: Final = (
    "alertname",
    "instance",
    names.DIALECT,
    names.JOB,
    names.METRIC,
    names.RULE,
    names.SEVERITY,
    names.TIMED_OUT,
)
_RECEIVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HOST_PORT = re.compile(r"[^\s:/@{}]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5}")
_ADDRESS = re.compile(r"[^\s@,{}<>]+@[^\s@,{}<>]+")


@dataclass(frozen=True, slots=True)
class References:
    """Declarations in other parts of the file that values can refer to."""

    #: Keys of labels that the file declares for its jobs.
    declared: tuple[str, ...] = ()
    #: Keys of labels that Prometheus adds.
    added: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    mute_times: tuple[str, ...] = ()
    #: True if slack receivers have a default URL.
    slack: bool = False

    @classmethod
    def of(cls, section: Mapping[str, Any], declared: Declared) -> Self:
        """Return the declarations of *section*, even if it has other errors."""
        scrape = (key for key, _ in SCRAPE_LABELS)
        return cls(
            declared=declared.labels,
            added=tuple(dict.fromkeys([*scrape, *_keys(section, "labels")])),
            receivers=tuple(dict.fromkeys([*_keys(section, "receivers"), DISCARD])),
            mute_times=tuple(_keys(section, "mute_times")),
            slack=any(section.get(key) for key in ("slack_url_file", "base")),
        )


def _keys(section: Mapping[str, Any], key: str) -> Iterable[str]:
    inside = section.get(key)
    return inside if isinstance(inside, dict) else ()


def _references(info: ValidationInfo) -> References:
    return info.context if isinstance(info.context, References) else References()


def _one_or_many(value: object) -> object:
    """Return a list with a single value for a value that is no list."""
    if value is None or value == []:
        raise ValueError("empty: set a value or remove the key")
    return tuple(value) if isinstance(value, list) else (value,)


def _reference(text: str, what: str, references: Iterable[str]) -> str:
    if text not in references:
        hint = (
            did_you_mean(text, references)
            or f": use one of {', '.join(sorted(references))}"
        )
        raise ValueError(f"there is no {what} {quote(text)}{hint}")
    return text


def _receiver(text: str, info: ValidationInfo) -> str:
    return _reference(text, "receiver", _references(info).receivers)


def _mute_time(text: str, info: ValidationInfo) -> str:
    references = _references(info).mute_times
    if not references:
        raise ValueError(f"there is no mute time {quote(text)}: add it to mute_times")
    return _reference(text, "mute time", references)


def _receiver_name(text: str) -> str:
    if not _RECEIVER.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a receiver's name: it starts with a letter or digit "
            "and goes on with letters, digits, . _ or -"
        )
    if text == DISCARD or text.startswith(JOB_RECEIVER):
        raise ValueError(f"receiver {quote(text)} is reserved: choose another name")
    return text


def _added_label(text: str, info: ValidationInfo) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{quote(text)} is not the name of a label")
    if text.startswith("__"):
        raise ValueError(
            f"{quote(text)} is a name of Prometheus itself: no alert can have such a label"
        )
    ours = (*_CARRIED, *_references(info).declared)
    if text in ours and text != "instance":
        raise ValueError(
            f"label {quote(text)} is set by AfterRun, so Prometheus cannot add it: remove it"
        )
    return text


def _matched_label(text: str, info: ValidationInfo) -> str:
    references = _references(info)
    carried = (*references.declared, *references.added)
    if text in carried:
        return text
    if text == names.SEVERITY:
        raise ValueError("severity is a key of match itself: move it up")
    hint = did_you_mean(text, carried) or (
        ": declare it in labels: at the top, or in alertmanager.labels when "
        "Prometheus adds it"
    )
    raise ValueError(f"no alert carries label {quote(text)}{hint}")


def _grouped_label(text: str, info: ValidationInfo) -> str:
    references = _references(info)
    carried = (*_CARRIED, *references.declared, *references.added)
    if text in {"...", *carried}:
        return text
    hint = did_you_mean(text, carried) or f": use some of {', '.join(sorted(carried))}"
    raise ValueError(f"no alert carries label {quote(text)}{hint}")


def _group_by(keys: tuple[str, ...]) -> tuple[str, ...]:
    if "..." in keys and len(keys) > 1:
        raise ValueError("'...' means all labels: remove the others")
    return keys


def _alert(value: object) -> Condition:
    if not isinstance(value, str):
        raise ValueError(f"expected an alert such as missed, not {quote(value)}")
    if value not in ROUTED:
        raise ValueError(unknown_value("alert", value, [*map(str, ROUTED)]))
    return Condition(value)


def _url(text: str) -> str:
    # Not quoted, because it may be a secret.
    try:
        url = urlsplit(text)
        fine = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        fine, url = False, urlsplit("")
    if not fine or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("not a URL; write it like https://host:port/path")
    if "@" in url.netloc:
        raise ValueError(
            "contains a user name or password, which would be shown: remove it"
        )
    return text


def _base_url(text: str) -> str:
    if any(mark in text for mark in "?#"):
        raise ValueError("has more than host, port and path: remove what follows them")
    return text.rstrip("/")


def _external_url(text: str) -> str:
    if odd := re.search(r"[{}\"'<>`\\]", text):
        raise ValueError(f"has a {odd[0]!r} in it: write the URL that browsers open")
    return text


def external_url(text: str) -> str:
    """Return the URL of the daemon for people, without a slash at its end.

    Raises ValueError if it is invalid.
    """
    return _external_url(_base_url(_url(text)))


def _shown_url(text: str) -> str:
    if any(mark in text for mark in "?#"):
        raise ValueError(
            "has a query or fragment, which may be a secret and would be shown: "
            "remove it"
        )
    return text


def _secret_file(text: str) -> str:
    if "://" in text:
        raise ValueError(
            "is a URL: write it to a file and set the path of the file here, to keep it "
            "out of configuration files"
        )
    return text


def host_port(example: str) -> AfterValidator:
    """Return a check for a host and a port, like those in *example*."""

    def check(text: str) -> str:
        if not _HOST_PORT.fullmatch(text):
            # Not quoted, because it may begin with a user and password.
            raise ValueError(f"is not host:port; write it like {example}")
        return text

    return AfterValidator(check)


def _sender(text: str) -> str:
    if not _ADDRESS.fullmatch(parseaddr(text)[1]) or "{" in text:
        raise ValueError(
            f"{quote(text)} is not a mail address; "
            "write it like AfterRun <afterrun@example.com>"
        )
    return text


def _recipients(text: str) -> str:
    for address in text.split(","):
        if not _ADDRESS.fullmatch(parseaddr(address)[1]) or "{" in address:
            raise ValueError(
                f"{quote(address.strip())} is not a mail address; "
                "write it like oncall@example.com"
            )
    return text


def _channel(text: str) -> str:
    if "{" in text:
        raise ValueError(f"{quote(text)} is not a channel; write it like '#alerts'")
    return text


#: One value or a list of values.
OneOrMany: Final = BeforeValidator(_one_or_many)

PlainUrl = Annotated[str, AfterValidator(_url)]
#: A URL that appears in logs and responses.
ShownUrl = Annotated[PlainUrl, AfterValidator(_shown_url)]
BaseUrl = Annotated[PlainUrl, AfterValidator(_base_url)]
#: The URL of the daemon, which is a part of templates.
ExternalUrl = Annotated[BaseUrl, AfterValidator(_external_url)]
BaseUrls = Annotated[tuple[BaseUrl, ...], distinct("URL")]
MailServer = Annotated[str, host_port("localhost:25")]
#: The path of a file with a secret, as Alertmanager reads it.
SecretFile = Annotated[Line, AfterValidator(_secret_file)]
Sender = Annotated[Line, AfterValidator(_sender)]
Recipients = Annotated[Line, AfterValidator(_recipients)]
Channel = Annotated[Line, AfterValidator(_channel)]
Alert = Annotated[Condition, BeforeValidator(_alert)]
ReceiverName = Annotated[str, AfterValidator(_receiver_name)]
ReceiverRef = Annotated[str, AfterValidator(_receiver)]
ReceiverRefs = Annotated[tuple[ReceiverRef, ...], OneOrMany, distinct("receiver")]
MuteTimeRefs = Annotated[
    tuple[Annotated[str, AfterValidator(_mute_time)], ...], OneOrMany
]
AddedLabel = Annotated[str, AfterValidator(_added_label)]
MatchedLabel = Annotated[str, AfterValidator(_matched_label)]
GroupBy = Annotated[
    tuple[Annotated[str, AfterValidator(_grouped_label)], ...],
    OneOrMany,
    DistinctKeys,
    AfterValidator(_group_by),
]
