"""Encoding of stored values as JSON; default values are omitted."""

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


#: Fields that are not stored with a state: `run_keys` is bytes, in a separate column.
_ELSEWHERE: Final = {
    field.name: field.default
    for field in fields(JobState)
    if field.name in {*DERIVED, "run_keys"}
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
    """Return *state* as a JSON object, without `run_keys` and derived fields."""
    text = _ENCODER.encode(replace(state, **_ELSEWHERE))
    # Infinite values would be written as null, and could not be decoded. They are
    # refused on input; this is a second line of defence.
    if b"null" in text:
        _readable(text, _STATE)
    return text.decode()


def decode_state(text: str | bytes, keys: bytes) -> JobState:
    """Return the state that was encoded as *text*, with its run keys."""
    return replace(_STATE.decode(text), run_keys=keys)


def encode_violations(violations: Sequence[Violation]) -> str:
    """Return *violations* as a JSON array."""
    return _ENCODER.encode(violations).decode() if violations else "[]"


def decode_violations(text: str) -> tuple[Violation, ...]:
    """Return the violations that were encoded as *text*."""
    return _VIOLATIONS.decode(text)


def encode_metrics(metrics: Mapping[str, float]) -> str:
    """Return metrics as a JSON object."""
    text = _ENCODER.encode(metrics)
    if b"null" in text:
        _readable(text, _METRICS)
    return text.decode()


def decode_metrics(text: str) -> dict[str, float]:
    """Return the metrics that were encoded as *text*."""
    return _METRICS.decode(text)


def _readable(text: bytes, decoder: json.Decoder[Any]) -> None:
    """Raise ValueError if *decoder* cannot decode *text*."""
    try:
        decoder.decode(text)
    except ValidationError as error:
        raise ValueError(
            f"a number that is not finite cannot be stored: {error}"
        ) from error
