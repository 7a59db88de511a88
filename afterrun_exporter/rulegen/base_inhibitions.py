"""Detection of inhibit rules of the base configuration that silence alerts of AfterRun.

For Alertmanager, a label that two alerts lack is equal in both. Alerts
of jobs have no ``instance``, so the usual ``critical -> warning, equal: [alertname,
instance]`` lets a critical job silence all other jobs. Rules are evaluated by the alerts
that they match, not by their spelling: a rule silences if there can be two alerts, a
source and a target, that it applies to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.core.severities import severities
from afterrun_exporter.rulegen import matchers
from afterrun_exporter.rulegen.matchers import Matcher
from afterrun_exporter.rulegen.prometheus import exporter_rules

#: The matcher that excludes AfterRun's alerts from a rule of the base.
NOT_OURS: Final = 'alertname !~ "AfterRun.+"'
_ONLY_OURS: Final = 'alertname =~ "AfterRun.+"'

_PREFIX: Final = "AfterRun"
_INSTANCE: Final = "instance"
#: Example values that are in no configuration.
_SOME: Final = ("some-a", "some-b")
#: Alerts without notifications, so silencing them is harmless.
_UNNOTIFIED: Final = frozenset({names.JOB_UPSTREAM_UNHEALTHY, names.JOB_SUCCEEDED})

#: Label values of a source and a target, and whether the rule fails to match the
#: source as a target, or the target as a source.
_Pair = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class Silencer:
    """An inhibit rule of the base that can silence alerts of AfterRun."""

    #: Its index among the inhibit rules.
    number: int
    #: True if the rule is generated with `NOT_OURS`, as it was not made for AfterRun.
    is_excluded: bool
    message: str
    #: Labels of an alert, and of another alert that it silences.
    source: Mapping[str, str]
    target: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Domain:
    """The possible values of a label."""

    values: tuple[str, ...]
    #: True if it can have any other value, except "".
    is_open: bool = False

    def has(self, value: str, label: str) -> bool:
        """Return True if *label* can have this *value*."""
        if self.is_open and value:
            return label != "alertname" or not value.startswith(_PREFIX)
        return value in self.values


@dataclass(frozen=True, slots=True)
class _Shape:
    """All alerts with one name, or all alerts of other systems."""

    labels: Mapping[str, _Domain]
    #: The values of all other labels.
    rest: _Domain = _Domain(("",))

    def domain(self, label: str) -> _Domain:
        return self.labels.get(label, self.rest)

    @property
    def name(self) -> str:
        return self.domain("alertname").values[0]


_ANYTHING: Final = _Domain(("", *_SOME), is_open=True)
_OTHERS: Final = _Shape(
    {"alertname": _Domain(_SOME, is_open=True), names.JOB: _Domain(("",))}, _ANYTHING
)


class Alerts:
    """The label sets that alerts of AfterRun can have.

    Severities, labels and jobs may be added without regenerating the file, so rules are
    evaluated with existing values and with any others.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        label_keys: Sequence[str],
        alertmanager: Alertmanager,
    ) -> None:
        self._jobs = jobs
        self._label_keys = label_keys
        self._added = {key: _Domain((value,)) for key, value in alertmanager.labels}

    @cached_property
    def shapes(self) -> tuple[_Shape, ...]:
        return (*self._of_jobs(), *self._of_exporters())

    def _of_jobs(self) -> Iterator[_Shape]:
        jobs = self._jobs.values()
        used = [severity for job in jobs for severity in sorted(severities(job))]
        declared = {
            key: _some_or(value for job in jobs for k, value in job.labels if k == key)
            for key in self._label_keys
        }
        common = self._added | declared | {names.JOB: _open(self._jobs)}
        severity = _open((*names.SEVERITIES, *used))
        for name in names.ALERT_OF.values():
            own = {"alertname": _Domain((name,)), names.SEVERITY: severity}
            if name in _UNNOTIFIED:
                own[names.SEVERITY] = _Domain((names.NO_SEVERITY,))
            if name == names.JOB_FAILING:
                own[names.TIMED_OUT] = _Domain(("", names.TRUE))
            if name == names.JOB_RULE_VIOLATED:
                own |= {names.RULE: _open(()), names.METRIC: _open(())}
            yield _Shape(common | own)
        disappeared = {"alertname": _Domain((names.JOB_DISAPPEARED,))}
        yield _Shape(common | disappeared | {names.SEVERITY: _Domain(("warning",))})

    def _of_exporters(self) -> Iterator[_Shape]:
        for rule in exporter_rules():
            own = {
                "alertname": _Domain((rule["alert"],)),
                names.SEVERITY: _Domain((rule["labels"][names.SEVERITY],)),
            }
            if rule["alert"] == names.EXPORTER_DOWN:
                own[_INSTANCE] = _open(())
            if rule["alert"] == names.PINGS_REJECTED:
                own[names.DIALECT] = _open(())
            if rule["alert"] == names.PUSH_FAILING:
                own[names.ALERTMANAGER] = _open(())
            yield _Shape(self._added | own)


def silencers(rules: Iterable[Any], alerts: Alerts) -> list[Silencer]:
    """Return those inhibit *rules* of a base that silence alerts of AfterRun.

    Invalid rules are skipped; Alertmanager reports them.
    """
    result = []
    for number, entry in enumerate(rules):
        try:
            rule = _Rule(entry)
        except ValueError:
            continue
        silencer = _silencer_for(number, rule, alerts)
        if silencer is not None:
            result.append(silencer)
    return result


def excluding_ours(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return *rule* with a matcher that excludes alerts of AfterRun."""
    return {**rule, "target_matchers": [*(rule.get("target_matchers") or ()), NOT_OURS]}


def _silencer_for(number: int, rule: _Rule, alerts: Alerts) -> Silencer | None:
    targets = [shape for shape in alerts.shapes if shape.name not in _UNNOTIFIED]
    targets = [shape for shape in targets if rule.can_be("target", shape)]
    is_about_us = not rule.can_be("target", _OTHERS)
    is_general = rule.can_be("source", _OTHERS)
    for source in alerts.shapes:
        if not rule.can_be("source", source):
            continue
        if not is_general and names.JOB not in source.labels:
            # The source is an alert about the exporter, which affects all jobs.
            continue
        for target in targets:
            if witness := rule.witness(source, target):
                accident = is_general and not is_about_us
                message = _between_ours(source, target, witness, rule, accident)
                return _silencer(number, accident, message, witness)
    if is_about_us:
        # Written for AfterRun's alerts with a source of another system: intentional.
        return None
    for target in targets:
        if witness := rule.witness(_OTHERS, target):
            message = _by_others(target, witness, rule)
            return _silencer(number, False, message, witness)
    return None


def _silencer(
    number: int, is_excluded: bool, message: str, witness: Mapping[str, _Pair]
) -> Silencer:
    source = {label: pair[0] for label, pair in witness.items() if pair[0]}
    target = {label: pair[1] for label, pair in witness.items() if pair[1]}
    return Silencer(number, is_excluded, message, source, target)


class _Rule:
    """An inhibit rule and the alerts that it applies to."""

    def __init__(self, entry: Any) -> None:
        if not isinstance(entry, Mapping):
            raise ValueError("is not keys and values")
        self.source = matchers.side_of(entry, "source")
        self.target = matchers.side_of(entry, "target")
        self.equal = frozenset(matchers.strings(entry, "equal"))
        every = (*self.source, *self.target)
        self.labels = sorted(
            {m.label for m in every} | self.equal | {"alertname", names.JOB}
        )
        self._samples = {
            label: [sample for m in _of(every, label) for sample in m.samples()]
            for label in {m.label for m in every}
        }
        self._values: dict[tuple[str, int], list[tuple[str, bool, bool]]] = {}

    def can_be(self, side: str, shape: _Shape) -> bool:
        """Return True if some alert of *shape* can be on this *side*."""
        at = 1 if side == "source" else 2
        return all(
            any(value[at] for value in self._values_of(label, shape))
            for label in self.labels
        )

    def witness(self, source: _Shape, target: _Shape) -> dict[str, _Pair] | None:
        """Return label values of two alerts, one of which silences the other.

        None if there are none, or if both alerts are about the same thing.
        """
        pair_of: dict[str, _Pair] = {}
        one_sided = False
        for label in self.labels:
            pairs = self._pairs(label, source, target)
            best = max(pairs, key=lambda pair: pair[2], default=None)
            if best is None:
                return None
            pair_of[label] = best
            one_sided = one_sided or best[2]
        # Alertmanager does not let alerts silence each other that match both sides.
        return pair_of if one_sided else None

    def _pairs(self, label: str, source: _Shape, target: _Shape) -> Iterator[_Pair]:
        targets = [v for v in self._values_of(label, target) if v[2]]
        if label in self.equal:
            has = source.domain(label).has
            is_identity = label in {names.JOB, _INSTANCE}
            for value, is_source, _ in targets:
                # Rules for the same job or instance are intentional.
                if is_source and has(value, label) and not (value and is_identity):
                    yield value, value, False
            return
        sources = [v for v in self._values_of(label, source) if v[1]]
        # Two alerts differ by job if both are about jobs, otherwise by name.
        differ = label == names.JOB and names.JOB in target.labels
        differ = differ or (label == "alertname" and names.JOB not in target.labels)
        for one, other in product(_few(sources), _few(targets)):
            if one[0] != other[0] or not differ:
                yield one[0], other[0], not (other[1] and one[2])

    def _values_of(self, label: str, shape: _Shape) -> list[tuple[str, bool, bool]]:
        """Return values of *label*, and True or False for each side of the rule."""
        domain = shape.domain(label)
        key = label, id(domain)
        if key not in self._values:
            source, target = _of(self.source, label), _of(self.target, label)
            self._values[key] = [
                (
                    value,
                    all(m.matches(value) for m in source),
                    all(m.matches(value) for m in target),
                )
                for value in self._candidates(label, domain)
            ]
            if domain.is_open:
                # An expression without an example may match anything.
                sides = _is_opaque(source), _is_opaque(target)
                if any(sides):
                    self._values[key].append((_SOME[0], *sides))
        return self._values[key]

    def _candidates(self, label: str, domain: _Domain) -> Iterable[str]:
        if not domain.is_open:
            return domain.values
        if label not in self._samples:
            # All values are equivalent.
            return domain.values[:3]
        samples = (s for s in self._samples[label] if domain.has(s, label))
        return dict.fromkeys((*domain.values, *samples))


def _is_opaque(every: Iterable[Matcher]) -> bool:
    """Return True if a regular expression in *every* has no matching example."""
    return any(
        matcher.op == "=~" and not any(map(matcher.matches, matcher.samples()))
        for matcher in every
    )


def _of(every: Iterable[Matcher], label: str) -> list[Matcher]:
    return [matcher for matcher in every if matcher.label == label]


def _few(values: Iterable[tuple[str, bool, bool]]) -> list[tuple[str, bool, bool]]:
    """Return two values of each kind, which is enough."""
    kinds: dict[tuple[bool, bool], list[tuple[str, bool, bool]]] = {}
    for value in values:
        kinds.setdefault(value[1:], []).append(value)
    return [value for kind in kinds.values() for value in kind[:2]]


def _open(values: Iterable[str]) -> _Domain:
    return _Domain(tuple(dict.fromkeys((*values, *_SOME))), is_open=True)


def _some_or(values: Iterable[str]) -> _Domain:
    return _Domain(tuple(dict.fromkeys(("", *values, *_SOME))), is_open=True)


def _between_ours(
    source: _Shape,
    target: _Shape,
    witness: Mapping[str, _Pair],
    rule: _Rule,
    accident: bool,
) -> str:
    both_jobs = names.JOB in source.labels and names.JOB in target.labels
    whose = "another job's" if both_jobs else "the"
    what = f"lets {_alert(source, witness, 0)} silence {whose} {_alert(target, witness, 1)}"
    why = ""
    if absent := sorted(
        label for label in rule.equal if witness[label][:2] == ("", "")
    ):
        why = f" (labels that both lack count as equal: {', '.join(absent)})"
    if accident:
        return (
            f"{what}{why}, so it is generated with {NOT_OURS!r} among its "
            f"target_matchers: add that to the base, or a rule for {_ONLY_OURS!r} if "
            "it is intended"
        )
    return f"{what}{why}: add {names.JOB!r} to its equal if that is not intended"


def _by_others(target: _Shape, witness: Mapping[str, _Pair], rule: _Rule) -> str:
    source = ", ".join(map(str, rule.source)) or "any alert"
    absent = sorted(label for label in rule.equal if witness[label][0] == "")
    lacking = f" and has no label {', '.join(absent)}" if absent else ""
    return (
        f"lets an alert that matches {source}{lacking} silence "
        f"{_alert(target, witness, 1)}: add {NOT_OURS!r} to its target_matchers if that "
        f"is not intended, or add a separate rule with {_ONLY_OURS!r} there if it is"
    )


def _alert(shape: _Shape, witness: Mapping[str, _Pair], side: int) -> str:
    severity = witness.get(names.SEVERITY)
    word = severity[side] if severity else ""
    word = word if word not in _SOME else ""
    return f"{word} {shape.name}".strip()
