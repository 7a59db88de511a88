"""Pushed metrics, to expose under their own names.

Pushes belong to groups, as in Pushgateway: one per set of grouping labels. A group that
conflicts with the others is refused, so that a page of all groups is always valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from afterrun_exporter.core.metric_names import series_name

#: Sorted by name, without empty values: for Prometheus an empty label is a missing one.
Labels = tuple[tuple[str, str], ...]

#: Times of the last accepted and of the last refused push of a group.
PUSHED: Final = "push_time_seconds"
FAILED: Final = "push_failure_time_seconds"
TIMES: Final = {
    PUSHED: "Last Unix time when changing this group succeeded.",
    FAILED: "Last Unix time when changing this group failed.",
}
#: The prefix of our own series, which alerting rules read.
RESERVED: Final = "afterrun_"

#: Prometheus fails on a page with this character in a label.
NUL: Final = "\0"

#: Suffixes of the series of a family, by its type.
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}

_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family(Struct, frozen=True):
    """The series of one name and type in one group."""

    type: str
    help: str
    #: Series and values, both as text.
    series: dict[str, str]


class Group(Struct, frozen=True, kw_only=True):
    """The metrics pushed under one set of grouping labels."""

    labels: Labels
    #: The job whose runs these pushes are.
    job: str
    families: dict[str, Family] = {}

    @property
    def size(self) -> int:
        """An upper bound of its size on a page, in bytes."""
        # Joined, because there may be many series.
        return sum(
            len(f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode())
            + len(" ".join(family.series).encode())
            + len(" ".join(family.series.values()).encode())
            + 2
            for name, family in self.families.items()
        )


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Return the identity of the group with these grouping labels."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def series(name: str, labels: Mapping[str, str]) -> str:
    """Return the canonical text of a series."""
    # With an empty instance, Prometheus does not add its own.
    all_labels = {"instance": "", **{k: v for k, v in labels.items() if v}}
    return series_name(name, all_labels)


def after_push(
    group: Group, families: Mapping[str, Family], now: float, *, replacing: bool
) -> Group:
    """Return *group* after a push of *families*.

    They replace all families of the group, or those with the same names.
    """
    other_families = {} if replacing else group.families
    times = {
        PUSHED: _time(group, PUSHED, now),
        FAILED: group.families.get(FAILED) or _time(group, FAILED, 0),
    }
    return replace(group, families={**other_families, **families, **times})


def after_refusal(group: Group, now: float) -> Group:
    """Return *group* after a push that was refused."""
    times = {
        PUSHED: group.families.get(PUSHED) or _time(group, PUSHED, 0),
        FAILED: _time(group, FAILED, now),
    }
    return replace(group, families={**group.families, **times})


def _time(group: Group, name: str, at: float) -> Family:
    return Family("gauge", TIMES[name], {series(name, dict(group.labels)): f"{at!r}"})


class Groups:
    """All groups, without conflicts between them."""

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self._groups: dict[Labels, Group] = {}
        #: Of each family, the lines that each group adds to it.
        self._members: dict[str, dict[Labels, bytes]] = {}
        #: The group of each series.
        self._owners: dict[str, Labels] = {}
        self._page: bytes | None = None
        #: The total size, in bytes.
        self.size = 0
        for group in groups:
            self.put(group)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def get(self, labels: Labels) -> Group | None:
        """Return the group with these labels."""
        return self._groups.get(labels)

    def conflict(self, group: Group) -> str:
        """Return the reason why *group* conflicts with the others; "" if it does not."""
        return next(filter(None, self.conflicts(group)), "")

    def conflicts(self, group: Group) -> Iterator[str]:
        """Yield the reasons why *group* conflicts with the others; "" after each step."""
        if any(NUL in value for _, value in group.labels):
            yield f"a NUL character is in a grouping label: {format_group(group.labels)!r}"
        for name, family in group.families.items():
            yield ""
            other_type = self._type(name, group.labels)
            if other_type not in {"", family.type}:
                yield f"{name} is of type {family.type}, but {other_type} in another group"
            if other := self._namesake(name, family.type, group):
                yield f"{name} ({family.type}) shares names with {other}"
            for one in family.series:
                owner = self._owners.get(one, group.labels)
                if owner != group.labels:
                    yield f"{one:.200} is pushed by another group: {format_group(owner)}"

    def put(self, group: Group) -> None:
        """Add *group*, which has no conflicts, in place of its previous content."""
        self.drop(group.labels)
        self._groups[group.labels] = group
        self.size += group.size
        for name, family in group.families.items():
            lines = (f"{one} {value}\n" for one, value in family.series.items())
            self._members.setdefault(name, {})[group.labels] = "".join(lines).encode()
            self._owners.update(dict.fromkeys(family.series, group.labels))

    def drop(self, labels: Labels) -> None:
        """Remove the group with these labels, if there is one."""
        self._page = None
        group = self._groups.pop(labels, None)
        if group is None:
            return
        self.size -= group.size
        for name, family in group.families.items():
            del self._members[name][labels]
            if not self._members[name]:
                del self._members[name]
            for one in family.series:
                del self._owners[one]

    def page(self) -> bytes:
        """Return all groups in the text format."""
        if self._page is None:
            self._page = b"".join(self._blocks())
        return self._page

    def _blocks(self) -> Iterator[bytes]:
        for name in sorted(self._members):
            members = self._members[name]
            # Groups may have different help texts: the choice is always the same.
            family = self._groups[min(members)].families[name]
            if family.help:
                text = family.help.translate(_HELP_ESCAPES)
                yield f"# HELP {name} {text}\n".encode()
            yield f"# TYPE {name} {family.type}\n".encode()
            yield from members.values()

    def _type(self, name: str, except_in: Labels) -> str:
        """Return the type of a family in another group."""
        for labels in self._members.get(name, ()):
            if labels != except_in:
                return self._groups[labels].families[name].type
        return ""

    def _namesake(self, name: str, kind: str, group: Group) -> str:
        """Return the name of a family that would share series names with this one."""

        def type_of(other: str) -> str:
            own = group.families.get(other)
            return own.type if own else self._type(other, group.labels)

        for part in PARTS.get(kind, ()):
            if type_of(name + part):
                return name + part
        for part in PARTS["histogram"]:
            whole = name.removesuffix(part)
            if whole != name and part in PARTS.get(type_of(whole), ()):
                return f"the {type_of(whole)} {whole}"
        return ""


def format_group(labels: Labels) -> str:
    """Return the labels of a group as text for people."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
