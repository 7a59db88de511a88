"""Facts to JSON and back. What has its default value is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import DecodeError, ValidationError, json
from msgspec.structs import fields, replace

from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import DERIVED, JobState


def _plain(value: object) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


#: What is not stored with a state: `seen` is bytes, and a column of its own.
_ELSEWHERE: Final = {
    field.name: field.default
    for field in fields(JobState)
    if field.name in {*DERIVED, "seen"}
}


class UnreadableRowError(ValueError):
    """A row of the database cannot be decoded."""

    def __init__(self, what: str, job: str, error: Exception) -> None:
        super().__init__(f"the stored {what} of job {job!r} cannot be decoded: {error}")


#: Raised for stored text that cannot be decoded.
UNDECODABLE: Final = (DecodeError, ValueError)

_ENCODER: Final = json.Encoder(enc_hook=_plain)
_STATE: Final = json.Decoder(JobState)
_METRICS: Final = json.Decoder(dict[str, float])
_VIOLATIONS: Final = json.Decoder(tuple[Violation, ...])


def encode_state(state: JobState) -> str:
    """Return *state* as a JSON object, all but `seen` and what is derived."""
    text = _ENCODER.encode(replace(state, **_ELSEWHERE))
    # What is not finite would be written as null, and could not be read again. It
    # has been refused at the border: none may slip in here.
    if b"null" in text:
        _readable(text, _STATE)
    return text.decode()


def decode_state(text: str, seen: bytes) -> JobState:
    """Return the state that *text* was made of."""
    return replace(_STATE.decode(text), seen=seen)


def encode_violations(violations: Sequence[Violation]) -> str:
    """Return *violations* as a JSON array."""
    return _ENCODER.encode(violations).decode() if violations else "[]"


def decode_violations(text: str) -> tuple[Violation, ...]:
    """Return the violations that *text* was made of."""
    return _VIOLATIONS.decode(text)


def encode_metrics(metrics: Mapping[str, float]) -> str:
    """Return reported values as a JSON object."""
    text = _ENCODER.encode(metrics)
    if b"null" in text:
        _readable(text, _METRICS)
    return text.decode()


def decode_metrics(text: str) -> dict[str, float]:
    """Return the reported values that *text* was made of."""
    return _METRICS.decode(text)


def _readable(text: bytes, decoder: json.Decoder[Any]) -> None:
    """Raise ValueError when *decoder* could not read *text*."""
    try:
        decoder.decode(text)
    except ValidationError as error:
        raise ValueError(f"what is not finite cannot be stored: {error}") from error
