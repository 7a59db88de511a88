"""The outcome that a report claims: the worst of all claims in it.

A report is ok only if no claim contradicts it. A claim is a field whose name and value
denote an outcome (see `vocabulary`), at the top level or in objects nested in fields
without a meaning, as webhooks have them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from afterrun_exporter.core.model import FAILURES, Kind, Outcome
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.json_text import parse_json
from afterrun_exporter.ingest.outcome_fields import (
    FAIL,
    LOOSE,
    NESTING,
    OK,
    Claim,
    Claims,
    Field,
    Weight,
)
from afterrun_exporter.ingest.vocabulary import (
    MAX_WORD,
    Meaning,
    Sense,
    joined,
    meaning,
    sense_of,
    words,
)

#: The most fields that are read.
MAX_FIELDS: Final = 5_000
#: Warnings about claims in one report.
MAX_WARNINGS: Final = 5
#: The deepest nesting of objects that are read.
MAX_DEPTH: Final = 4

TOO_MANY: Final = (
    f"the report has over {MAX_FIELDS} fields: put data that claims no outcome under "
    "'metadata'"
)

#: Objects with names like these contain context, and no claims about this run.
CONTEXT: Final = words(
    """
    metadata labels annotations tags env environment parameters params inputs config
    configuration variables headers changes settings options previous previousrun
    previousbuild lastrun laststate lastbuild repository sender user author
    """
)
#: Numbers in objects with names like these are measurements.
MEASUREMENTS: Final = words("metrics stats statistics counters counts")
#: Objects with names like these have a word for each part of the run.
PARTS: Final = words(
    "results statuses states outcomes steps stages jobs tasks runs builds backups"
)
#: Fields with names like these may have an object as a text.
EMBEDDED: Final = words("message body payload data detail event result response")
#: Objects in which one of these is true may fail without harm.
HARMLESS: Final = ("allow_failure", "continue_on_error", "ignore_errors", "soft_failed")


class ClaimedOutcome(NamedTuple):
    """The outcome that a report claims."""

    kind: Kind
    outcome: Outcome
    exit_code: int | None
    warnings: tuple[str, ...]
    #: The fields at the top level that were read as claims.
    names: frozenset[str]


def read(
    fields: Mapping[str, Any],
    *,
    address: Meaning | None = None,
    plain: Collection[str] = (),
) -> ClaimedOutcome:
    """Return the outcome that *fields* claim, the worst of all claims in them.

    *address* is the claim of the request's path, if it makes one; no other claim makes a
    start of an end. Fields that are named in *plain* claim nothing. Raises PingError for a claim that cannot be read,
    unless another one is a failure.
    """
    reading = Claims()
    if address is not None:
        reading.claims.append(Claim("the address", "", address, Weight.WORD))
    _read_object(reading, fields, "", 0, frozenset(plain))
    kind, outcome = worst = _worst(reading.claims, has_ended=address in _ENDS)
    failing = kind is Kind.FINISH and outcome in FAILURES
    for place, problem, binding in reading.unreadable:
        if not failing and (binding or not reading.claims):
            raise PingError(f"{place}: {problem}")
    warnings = [f"{one.place} is left out: {one.problem}" for one in reading.unreadable]
    del warnings[MAX_WARNINGS:]
    if (contradiction := _contradiction(reading.claims, worst)) is not None:
        warnings.insert(0, contradiction)
    return ClaimedOutcome(
        kind, outcome, reading.exit_code, tuple(warnings), frozenset(reading.names)
    )


def scan(text: str) -> Meaning | None:
    """Return the failure that truncated or malformed JSON plainly claims."""
    fields = {
        name: value.strip('"')
        for name, value in _PAIR.findall(text[:65_536])
        if sense_of(name) in _SCANNED
    }
    reading = Claims()
    _read_object(reading, fields, "", 0)
    worst = _worst(reading.claims)
    return worst if worst[1] in FAILURES else None


_PAIR: Final = re.compile(
    r'"([A-Za-z_-]{1,32})"\s{0,8}:\s{0,8}("[^"\\]{0,64}"|-?[0-9]{1,10}|true|false)'
)
_SCANNED: Final = frozenset({Sense.STATUS, Sense.EXIT_CODE, Sense.SUCCESS})


_ENDS: Final = frozenset((Kind.FINISH, outcome) for outcome in Outcome)


def _worst(claims: Iterable[Claim], *, has_ended: bool = False) -> Meaning:
    """Return the worst of *claims*; ok if there is none."""
    meanings: dict[Weight, list[Meaning]] = {weight: [] for weight in Weight}
    for claim in claims:
        meanings[claim.weight].append(claim.meaning)
    words_claimed = meanings[Weight.WORD]
    failures = [one for one in words_claimed if one[1] in FAILURES]
    if failures:
        return min(failures, key=lambda one: _SEVERITY.index(one[1]))
    for sign in meanings[Weight.SIGN]:
        if sign[1] in FAILURES:
            return sign
    neutral = [*words_claimed, *meanings[Weight.SIGN]]
    for outcome in (Outcome.CANCELED, Outcome.SKIPPED):
        if (Kind.FINISH, outcome) in neutral:
            return Kind.FINISH, outcome
    if FAIL in meanings[Weight.EXIT]:
        return FAIL
    for kind in (Kind.START, Kind.PROGRESS, Kind.LOG):
        if (kind, Outcome.OK) in words_claimed and not has_ended:
            return kind, Outcome.OK
    return FAIL if FAIL in meanings[Weight.HINT] else OK


_SEVERITY: Final = (Outcome.FAIL, Outcome.TIMEOUT, Outcome.PARTIAL)


def _contradiction(claims: Iterable[Claim], worst: Meaning) -> str | None:
    """Return the warning for claims of a success beside a failure."""
    if worst[1] not in FAILURES:
        return None
    ok = next((one for one in claims if one.meaning == OK), None)
    bad = next((one for one in claims if one.meaning == worst), None)
    if bad is None:
        return None
    if ok is None or ok.place == "the address":
        return None if bad.weight is Weight.WORD else _reason(bad)
    return f"{ok} contradicts {bad}: the worse counts"


def _reason(bad: Claim) -> str | None:
    # A warning for each failed run would be noise, unless it may surprise.
    if bad.weight is not Weight.HINT:
        return None
    return f"{bad} counts as a failure: put it under 'metrics' if it is a measurement"


def _pairs(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields, with the values that later ones of the same name replace."""
    yield from getattr(fields, "replaced", ())
    yield from fields.items()


def _read_object(
    reading: Claims,
    fields: Mapping[str, Any],
    path: str,
    depth: int,
    plain: frozenset[str] = frozenset(),
) -> None:
    _count(reading, fields)
    if path and any(fields.get(name) is True for name in HARMLESS):
        return
    counts = _has_counts(fields)
    plain |= _retried_fields(fields)
    for name, value in _pairs(fields):
        if name in plain:
            continue
        sense = sense_of(name)
        if sense is None and not isinstance(value, str | dict | list):
            continue
        # A long name, repeated for every nested field, would take much memory.
        place = f"{path}{name[:MAX_WORD]}"
        if sense is not None:
            is_claim = sense not in LOOSE
            if value is not None:
                one = Field(reading, place, value, sense, depth, counts)
                is_claim = one.read() or is_claim
            if is_claim and not path:
                reading.names.add(name)
            if sense not in NESTING:
                continue
        inner = _embedded(name, value) if isinstance(value, str) else value
        if isinstance(inner, dict | list) and depth < MAX_DEPTH:
            before = len(reading.claims)
            _read_nested(reading, name, inner, place, depth)
            _drop_beginnings(reading, before, fields)


def _has_succeeded(fields: Mapping[str, Any], name: str) -> bool:
    word = fields.get(name)
    return isinstance(word, str) and meaning(word) == OK


def _is_complete(fields: Mapping[str, Any]) -> bool:
    """Return True for a job of Kubernetes that is complete, with some pods tried again."""
    conditions = fields.get("conditions")
    return isinstance(conditions, list) and any(
        isinstance(one, dict)
        and one.get("type") == "Complete"
        and str(one.get("status")).lower() == "true"
        for one in conditions[:100]
    )


def _retried_fields(fields: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of fields about attempts before a success."""
    if _is_complete(fields):
        return frozenset({"failed"})
    if "nodes" in fields and _has_succeeded(fields, "phase"):
        return frozenset({"nodes"})
    return frozenset()


def _drop_beginnings(reading: Claims, before: int, fields: Mapping[str, Any]) -> None:
    """Remove claims of open parts in a check that has a conclusion.

    The suite of a check ends later. *before* is the number of earlier claims.
    """
    claims = reading.claims
    if len(claims) > before and _has_succeeded(fields, "conclusion"):
        ends = [one for one in claims[before:] if one.meaning[0] is Kind.FINISH]
        claims[before:] = ends


def _embedded(name: str, text: str) -> object:
    """Return a field's *text* parsed as a JSON object; None if it is none."""
    if text[:1] != "{" or joined(name) not in EMBEDDED:
        return None
    try:
        return parse_json(text)
    except PingError:
        return None


def _count(reading: Claims, fields: Mapping[str, Any]) -> None:
    reading.count += len(fields) + len(getattr(fields, "replaced", ()))
    if reading.count > MAX_FIELDS:
        raise PingError(TOO_MANY)


def _read_nested(
    reading: Claims, name: str, value: Any, place: str, depth: int
) -> None:
    key = joined(name)
    if key in CONTEXT:
        return
    if key in PARTS:
        _read_words(reading, value, place)
    if key in MEASUREMENTS and isinstance(value, dict):
        _read_measurements(reading, value, f"{place}.")
    elif isinstance(value, dict):
        _read_object(reading, value, f"{place}.", depth + 1)
    else:
        _read_items(reading, value, place, depth)


def _read_items(reading: Claims, items: list[Any], place: str, depth: int) -> None:
    """Read the failures in a list; other claims are about parts of the run."""
    inner = Claims(count=reading.count)
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        at = f"{place}[{number}]."
        inner.count += 1
        if "type" in item and joined(place.rpartition(".")[2]) == "conditions":
            _read_condition(inner, item, at)
        else:
            _read_object(inner, item, at, depth + 1)
    reading.count = inner.count
    reading.claims += [one for one in inner.claims if one.meaning[1] in FAILURES]


def _read_words(reading: Claims, parts: Any, place: str) -> None:
    """Read the failures among words: ``{"db1": "ok", "db2": "failed"}``."""
    for name, word in parts.items() if isinstance(parts, dict) else enumerate(parts):
        word_meaning = meaning(word) if isinstance(word, str) else None
        own = isinstance(name, str) and sense_of(name) is not None
        if word_meaning is not None and word_meaning[1] in FAILURES and not own:
            at = f"{place}[{name!r:.40}]"
            reading.claims.append(Claim(at, word, word_meaning, Weight.WORD))


def _read_condition(reading: Claims, item: Mapping[str, Any], at: str) -> None:
    """Read a condition of a Kubernetes resource: ``{"type": "Failed", "status": "True"}``."""
    kind = meaning(str(item.get("type"))[:80])
    if kind is not None and str(item.get("status")).lower() == "true":
        reading.claims.append(Claim(f"{at}type", item["type"], kind, Weight.WORD))


def _read_measurements(reading: Claims, fields: Mapping[str, Any], path: str) -> None:
    """Read exit codes, and flags of a success, among numbers that claim nothing else."""
    _count(reading, fields)
    inner = Claims()
    counts = _has_counts(fields)
    for name, value in _pairs(fields):
        sense = sense_of(name)
        if sense is None or value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or sense in {Sense.EXIT_CODE, Sense.SUCCESS, Sense.SUCCESSES}:
            Field(inner, f"{path}{name}", value, sense, 1, counts).read()
    reading.claims += [one for one in inner.claims if one.meaning[1] in FAILURES]


def _has_counts(fields: Mapping[str, Any]) -> bool:
    """Return True if 0 successes are no failure: failures are counted, or the total is 0."""
    return any(name in fields for name in _FAILURE_COUNTS) or any(
        name in fields and not fields[name] for name in _TOTALS
    )


_FAILURE_COUNTS: Final = ("failed", "failures", "errors")
_TOTALS: Final = ("total", "tests", "count")
