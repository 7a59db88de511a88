"""What jobs have pushed, to be exposed again under the names they gave it.

Pushes belong to groups, as in Pushgateway: one for each set of grouping labels. A
group that is at odds with the others does not come in, so a page made of them can
be read whatever has been pushed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

#: Sorted by name, and none of them empty: to Prometheus that is one that is missing.
Labels = tuple[tuple[str, str], ...]

#: When a group was last changed by a push, and when a push was last refused.
PUSHED: Final = "push_time_seconds"
FAILED: Final = "push_failure_time_seconds"
TIMES: Final = {
    PUSHED: "Last Unix time when changing this group succeeded.",
    FAILED: "Last Unix time when changing this group failed.",
}
#: Whose series are ours: alerting rules read them.
RESERVED: Final = "afterrun_"

#: Where it stands in a label, Prometheus can read nothing that follows.
NUL: Final = "\0"

#: What a family has beside the series of its own name.
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family(Struct, frozen=True):
    """The series of one name and type, as one group has them."""

    type: str
    help: str
    #: Each with its value, both as they are written.
    series: dict[str, str]


class Group(Struct, frozen=True, kw_only=True):
    """What was pushed under one set of grouping labels."""

    labels: Labels
    #: Under which its pushes are runs.
    job: str
    families: dict[str, Family] = {}

    @property
    def size(self) -> int:
        """How many bytes it adds to a page, or somewhat more."""
        # In a few long texts: there may be many series.
        return sum(
            len(f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode())
            + len(" ".join(family.series).encode())
            + len(" ".join(family.series.values()).encode())
            + 2
            for name, family in self.families.items()
        )


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Return what names the group with these grouping labels."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def series(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as it is written: one way for each."""
    # An empty instance keeps Prometheus from putting ours in its place.
    known = {"instance": "", **{k: v for k, v in labels.items() if v}}
    told = (f'{key}="{known[key].translate(_ESCAPES)}"' for key in sorted(known))
    return f"{name}{{{','.join(told)}}}"


def changed(
    group: Group, families: Mapping[str, Family], now: float, *, replacing: bool
) -> Group:
    """Return *group* after a push of *families*.

    They replace all that it has, or what it has under the same names.
    """
    kept = {} if replacing else group.families
    times = {
        PUSHED: _time(group, PUSHED, now),
        FAILED: group.families.get(FAILED) or _time(group, FAILED, 0),
    }
    return replace(group, families={**kept, **families, **times})


def failed(group: Group, now: float) -> Group:
    """Return *group* after a push that was refused."""
    times = {
        PUSHED: group.families.get(PUSHED) or _time(group, PUSHED, 0),
        FAILED: _time(group, FAILED, now),
    }
    return replace(group, families={**group.families, **times})


def _time(group: Group, name: str, at: float) -> Family:
    return Family("gauge", TIMES[name], {series(name, dict(group.labels)): f"{at!r}"})


class Groups:
    """All groups, none of them at odds with another."""

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self._groups: dict[Labels, Group] = {}
        #: Of each family, what each group adds to it.
        self._members: dict[str, dict[Labels, bytes]] = {}
        #: Which group a series is of.
        self._owners: dict[str, Labels] = {}
        self._page: bytes | None = None
        #: What they come to, in bytes.
        self.size = 0
        for group in groups:
            self.put(group)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def get(self, labels: Labels) -> Group | None:
        """Return the group with these labels."""
        return self._groups.get(labels)

    def conflict(self, group: Group) -> str:
        """Return why *group* cannot be put beside the others; "" if it can."""
        return next(filter(None, self.conflicts(group)), "")

    def conflicts(self, group: Group) -> Iterator[str]:
        """Yield why *group* cannot be put beside the others; "" after each step."""
        if any(NUL in value for _, value in group.labels):
            yield f"a NUL character is in a grouping label: {told(group.labels)!r}"
        for name, family in group.families.items():
            yield ""
            known = self._type(name, group.labels)
            if known not in {"", family.type}:
                yield f"{name} is of type {family.type}, and {known} in another group"
            if other := self._namesake(name, family.type, group):
                yield f"{name} ({family.type}) shares names with {other}"
            for one in family.series:
                owner = self._owners.get(one, group.labels)
                if owner != group.labels:
                    yield f"{one:.200} is pushed by another group: {told(owner)}"

    def put(self, group: Group) -> None:
        """Put *group*, which is at odds with none, in the place of its former self."""
        self.drop(group.labels)
        self._groups[group.labels] = group
        self.size += group.size
        for name, family in group.families.items():
            lines = (f"{one} {value}\n" for one, value in family.series.items())
            self._members.setdefault(name, {})[group.labels] = "".join(lines).encode()
            self._owners.update(dict.fromkeys(family.series, group.labels))

    def drop(self, labels: Labels) -> None:
        """Forget the group with these labels, if there is one."""
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
        """Return all of them in the text format."""
        if self._page is None:
            self._page = b"".join(self._blocks())
        return self._page

    def _blocks(self) -> Iterator[bytes]:
        for name in sorted(self._members):
            members = self._members[name]
            # Groups need not agree in the help text: one has its way, always the same.
            family = self._groups[min(members)].families[name]
            if family.help:
                text = family.help.translate(_HELP_ESCAPES)
                yield f"# HELP {name} {text}\n".encode()
            yield f"# TYPE {name} {family.type}\n".encode()
            yield from members.values()

    def _type(self, name: str, besides: Labels) -> str:
        """Return the type of a family, as another group has it."""
        for labels in self._members.get(name, ()):
            if labels != besides:
                return self._groups[labels].families[name].type
        return ""

    def _namesake(self, name: str, kind: str, group: Group) -> str:
        """Return a family with which this one would have names in common."""

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


def told(labels: Labels) -> str:
    """Return a group as people are told of it."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
