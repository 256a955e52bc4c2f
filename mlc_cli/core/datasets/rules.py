"""Label rules: what a label implies, and which labels exclude each other.

    {"separator": " / ", "implies": {"dog": ["animal"]}, "exclusive": [["cat", "dog"]]}

With a separator, a class `animal / dog` implies `animal` where that is a class, too.

Decisions obey them by one closed form, which removes labels and never adds one: of a group only the
most probable label may be present (of equals the first), and a label is present if it and all that
it implies reach their thresholds and are the most probable of their groups.

Names of arrays: N images, C classes. Targets: 1 present, 0 absent, -1 unknown.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import chain, combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from mlc_cli.core.system.files import named_faults, read_text
from mlc_cli.errors import DataError
from mlc_cli.text import nearest

RULES_FILE = "rules.yaml"  # beside annotation files; its rules hold for all of them
Name = Annotated[str, BeforeValidator(lambda name: str(name) if type(name) is int else name)]
Names = Annotated[list[Name], BeforeValidator(lambda v: v if isinstance(v, list | tuple) else [v])]
Targets = NDArray[np.int8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rules:
    """Rules between classes, by their names.

    Attributes:
        implies: Labels that are present wherever a label is.
        exclusive: Groups of which at most one label is present.
        separator: Between the parts of names that are paths; only in files.
        folded: Whether the scores are of a graph that obeys the rules itself.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    implies: dict[Name, Names] = field(default_factory=dict)
    exclusive: list[Names] = field(default_factory=list)
    separator: str = ""
    folded: bool = False

    def __bool__(self) -> bool:
        return bool(self.implies or self.exclusive)

    def written(self) -> dict[str, Any]:
        """As it stands in an annotation file."""
        return {"implies": self.implies, "exclusive": self.exclusive}

    def __str__(self) -> str:
        """In a word, to tell other rules by."""
        text = json.dumps(self.written())
        return hashlib.sha256(text.encode()).hexdigest()[:8] if self else "none"

    def joined(self, other: "Rules") -> "Rules":
        """The rules of both."""
        implies = {
            name: [*dict.fromkeys([*self.implies.get(name, []), *other.implies.get(name, [])])]
            for name in {**self.implies, **other.implies}
        }
        more = [group for group in other.exclusive if group not in self.exclusive]
        return Rules(implies, self.exclusive + more)

    def renamed(self, new: Mapping[str, str | None]) -> "Rules":
        """With other names of classes; `None` takes a class out, and what it implies stays."""

        def above(name: str) -> Iterator[str]:
            for parent in self.implies.get(name, ()):
                kept = new.get(parent)
                yield from above(parent) if kept is None else [kept]

        rules = Rules()
        for old in self.implies:
            name = new.get(old)
            higher = [parent for parent in dict.fromkeys(above(old)) if parent != name]
            if name is not None and higher:
                rules = rules.joined(Rules({name: higher}))
        groups = [[*dict.fromkeys(filter(None, map(new.get, own)))] for own in self.exclusive]
        return replace(rules, exclusive=[g for g in groups if len(g) > 1], separator=self.separator)

    def among(self, classes: Sequence[str | int], source: Path) -> "Rules":
        """Checked against classes, with what their names say.

        Raises:
            DataError: A rule names another class, or no decision could keep all of them.
        """
        names, implies = [*map(str, classes)], {}
        for name in names if self.separator else ():
            parts = name.split(self.separator)
            higher = (self.separator.join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
            if parent := next((path for path in higher if path in names), None):
                implies[name] = [parent]
        rules = self.joined(Rules(implies))
        try:
            BoundRules(rules, classes)
        except ValueError as error:
            raise DataError(f"{source}: label rules: {error}", _HINT) from None
        return rules


NO_RULES = Rules()
_SCHEMA = TypeAdapter(Rules)
_FAULTS = {
    "unexpected_keyword_argument": "there is no such key, but implies, exclusive and separator",
    "dataclass_type": "expected these keys: implies, exclusive, separator",
}
"""What pydantic says in words of Python."""
_HINT = 'Rules look like {"implies": {"dog": ["animal"]}, "exclusive": [["cat", "dog"]]}.'


def read_rules(source: Path, content: object, classes: Sequence[str | int]) -> Rules:
    """Rules of an annotation file and of the `rules.yaml` beside it.

    Raises:
        DataError: They are malformed, name other classes or contradict themselves.
    """
    file, parts = source.parent / RULES_FILE, {source: content or {}}
    with named_faults(file, "cannot be read as label rules", DataError, _HINT):
        if file.is_file():
            text = read_text(file)
            _check_keys(yaml.compose(text, Loader=yaml.BaseLoader))
            parts[file] = yaml.load(text, Loader=yaml.BaseLoader) or {}
    whole = Rules()
    for place, part in parts.items():
        try:
            rules = _SCHEMA.validate_python(part)
        except ValidationError as error:
            faults = [(*f["loc"], _FAULTS.get(f["type"], f["msg"])) for f in error.errors()]
            told = "; ".join(": ".join(map(str, fault)) for fault in faults)
            raise DataError(f"{place}: label rules: {told}", _HINT) from None
        whole = whole.joined(rules.among(classes, place)).among(classes, place)
    return whole


def _check_keys(node: yaml.Node | None) -> None:
    """YAML keeps the last of two equal keys without a word."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    if len({key.value for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    for _, below in pairs:
        _check_keys(below)


class BoundRules:
    """Rules over the classes of a model or a data set.

    Raises:
        ValueError: A rule names another class, or no decision could keep all of them.
    """

    def __init__(self, rules: Rules, classes: Sequence[str | int]) -> None:
        self.rules = rules
        self.classes = [str(name) for name in classes]
        place = {name: c for c, name in enumerate(self.classes)}
        named = [*chain(rules.implies, *rules.implies.values(), *rules.exclusive)]
        if strange := [name for name in named if name not in place]:
            raise ValueError(f"there is no class {strange[0]}{nearest(strange[0], self.classes)}")
        above = {place[name]: [place[p] for p in own] for name, own in rules.implies.items() if own}
        try:
            order = [*TopologicalSorter(above).static_order()]
        except CycleError as error:
            circle = " implies ".join(self.classes[c] for c in reversed(error.args[1]))
            raise ValueError(f"{circle}: a circle") from None
        self.parents = {c: above[c] for c in order if c in above}
        """Of each class that has any; those of a class come before it."""
        self.ancestors = {c: [c] for c in range(len(self.classes))}
        """Itself first."""
        for c, own in self.parents.items():
            higher = chain([c], *(self.ancestors[parent] for parent in own))
            self.ancestors[c] = [*dict.fromkeys(higher)]
        self.groups = [sorted(place[name] for name in group) for group in rules.exclusive]
        self._check_groups()

    def _check_groups(self) -> None:
        for group in self.groups:
            if len(set(group)) < max(2, len(group)):
                raise ValueError(f"exclusive {self._words(group)}: expected two classes or more")
            for c, above in self.ancestors.items():
                if len(both := set(above) & set(group)) > 1:
                    raise ValueError(
                        f"{self.classes[c]} can never be present: it implies"
                        f" {self._words(sorted(both))}, which exclude each other"
                    )

    def _words(self, group: Sequence[int]) -> str:
        return " and ".join(self.classes[c] for c in group)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @cached_property
    def levels(self) -> list[NDArray[np.int64]]:
        """Columns by their depth, what has no parents first."""
        depth: dict[int, int] = {}
        for c, own in self.parents.items():
            depth[c] = 1 + max(depth.get(parent, 0) for parent in own)
        deep_C = np.array([depth.get(c, 0) for c in range(len(self.classes))])
        return [np.flatnonzero(deep_C == level) for level in range(deep_C.max() + 1)]

    def best(self, scores_NC: NDArray[Any]) -> Flags:
        """Which labels are the most probable of all their groups, N×C."""
        best_NC = np.ones(scores_NC.shape, np.bool_)
        for group in self.groups:
            first_N = scores_NC[:, group].argmax(1)
            best_NC[:, group] &= first_N[:, None] == np.arange(len(group))
        return best_NC

    def obey(self, decided_NC: Flags, scores_NC: NDArray[Any]) -> Flags:
        """Decisions without those that the rules forbid; scores may be anything in their order."""
        if not self:
            return decided_NC
        seen_NC = np.where(decided_NC, scores_NC, -np.inf) if self.rules.folded else scores_NC
        kept_NC = decided_NC & self.best(seen_NC)
        for c, own in self.parents.items():
            kept_NC[:, c] &= kept_NC[:, own].all(1)
        return kept_NC

    def decide(self, scores_NC: NDArray[Any], thresholds: Any = 0.5) -> Flags:
        """Labels that reach their thresholds, as far as the rules allow, N×C."""
        return self.obey(scores_NC >= np.asarray(thresholds, np.float64), scores_NC)

    def broken(self, targets_NC: Targets) -> Iterator[tuple[str, Flags]]:
        """Each rule in words, and the images that break it for certain, N."""
        for c, own in self.parents.items():
            for parent in own:
                words = f"{self.classes[c]} without {self.classes[parent]}"
                yield words, (targets_NC[:, c] == 1) & (targets_NC[:, parent] == 0)
        for group in self.groups:
            for pair in combinations(group, 2) if len(group) < 10 else [group]:
                together_N = (targets_NC[:, pair] == 1).sum(1) > 1
                yield f"{self._words(pair)} together", together_N

    def breaks(self, targets_NC: Targets) -> Flags:
        """Images that break any rule, N."""
        none_N = np.zeros(len(targets_NC), np.bool_)
        return sum((found_N for _, found_N in self.broken(targets_NC)), none_N)

    def completed(self, targets_NC: Targets) -> Targets:
        """States with what follows from those that are known.

        What is present makes present what it implies, whatever was said of that; of the unknown
        labels, those that a present one excludes, or that imply an absent one, are absent.
        """
        full_NC = targets_NC.copy()
        for c in reversed(self.parents):
            full_NC[np.ix_(full_NC[:, c] == 1, self.parents[c])] = 1
        for group in self.groups:
            rest_NK = full_NC[:, group]
            rest_NK[(rest_NK < 0) & (rest_NK == 1).any(1, keepdims=True)] = 0
            full_NC[:, group] = rest_NK
        for c, own in self.parents.items():
            full_NC[(full_NC[:, c] < 0) & (full_NC[:, own] == 0).any(1), c] = 0
        return full_NC

    def tree(self) -> list[tuple[int, int]]:
        """Depth and class, each class below all that it implies, and roots of something alone."""
        children: dict[int, list[int]] = {}
        for c, own in self.parents.items():
            for parent in own:
                children.setdefault(parent, []).append(c)

        def below(c: int, depth: int) -> Iterator[tuple[int, int]]:
            yield depth, c
            for child in sorted(children.get(c, ())):
                yield from below(child, depth + 1)

        return [row for c in sorted(children) if c not in self.parents for row in below(c, 0)]


FREE = BoundRules(NO_RULES, ())
"""Without any rule, for whatever classes there are."""
