"""Class names that may stand for one class: twins by case, signs, spelling or plural."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES

SHORTEST_WORD = 6
_SIGNS = re.compile(r"[\s_\-./]+")
_MARKS = tuple("'\"`´\u2018\u2019\u201c\u201d«»()[]{}<>,;|:/\\")
_CLOSED = re.compile(r"\w.*(?:\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\})$")
_SUFFIXES = (*IMAGE_SUFFIXES, ".csv", ".tsv", ".json", ".xml", ".txt", ".yaml", ".zip", ".mp4")
_DIGITS = re.compile(r"\d+")
Pair = tuple[str, str]


def untrimmed(names: Iterable[str]) -> list[str]:
    """Names with spaces before, after, or more than one in a row."""
    return [name for name in names if name != " ".join(name.split())]


def of_other_things(names: Iterable[str]) -> list[str]:
    """Names with quotes, brackets or separators at an end, and names of files.

    A bracket at the end may close one inside: `bat (animal)`.
    """
    return [
        name
        for name in names
        if name.strip().startswith(_MARKS)
        or (name.strip().endswith(_MARKS) and not _CLOSED.search(name.strip()))
        or PurePath(name.strip()).suffix.lower() in _SUFFIXES
    ]


def twins(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Names that are equal but for case, spaces, signs and the way of writing accents."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_letters(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _letters(name: str) -> str:
    return _SIGNS.sub("", unicodedata.normalize("NFKC", name).casefold())


def _words(name: str) -> tuple[str, ...]:
    return tuple(_SIGNS.split(unicodedata.normalize("NFKC", name).casefold().strip()))


def plurals(names: Sequence[str]) -> list[Pair]:
    """Pairs of a name and its plural, by the rules of English."""
    known = {_letters(name): name for name in names}
    return [
        (name, known[plural])
        for word, name in known.items()
        for plural in (f"{word}s", f"{word}es", re.sub("y$", "ies", word))
        if word and plural in known and plural != word
    ]


def misspellings(names: Sequence[str]) -> list[Pair]:
    """Pairs that differ in one letter of one word of at least six letters.

    A letter may be another one, left out, or change places with its neighbour. Names that differ
    in digits alone are numbered, not misspelt. Shorter words are often one letter apart and mean
    different things (`boat`, `goat`).

    Candidates share what is left of a word without one of its letters, so that the work grows
    with the number of names and not with its square.
    """
    shared: dict[tuple[str, ...], list[int]] = {}
    words = [_words(name) for name in names]
    for number, own in enumerate(words):
        for key in sorted({*_with_gaps(own)}):
            shared.setdefault(key, []).append(number)
    pairs = {
        (first, second)
        for numbers in shared.values()
        for index, first in enumerate(numbers)
        for second in numbers[index + 1 :]
        if _differ_by_a_letter(words[first], words[second])
    }
    doubles = {frozenset(pair) for pair in plurals(names)}
    found = [(names[first], names[second]) for first, second in sorted(pairs)]
    return [pair for pair in found if frozenset(pair) not in doubles]


def _with_gaps(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words themselves, and all ways to leave out one letter of a long one."""
    yield words
    for index, word in enumerate(words):
        if len(word) >= SHORTEST_WORD - 1:
            for gap in range(len(word)):
                yield (*words[:index], word[:gap] + word[gap + 1 :], *words[index + 1 :])


def _differ_by_a_letter(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    different = [(a, b) for a, b in zip(first, second, strict=False) if a != b]
    if len(first) != len(second) or len(different) != 1:
        return False
    short, long = sorted(different[0], key=len)
    if len(long) < SHORTEST_WORD or _DIGITS.sub("", short) == _DIGITS.sub("", long):
        return False
    if len(short) < len(long):
        return any(short == long[:gap] + long[gap + 1 :] for gap in range(len(long)))
    indexes = [index for index, (a, b) in enumerate(zip(short, long, strict=True)) if a != b]
    if len(indexes) == 1:
        return True
    return (
        len(indexes) == 2
        and indexes[1] == indexes[0] + 1
        and short[indexes[0]] == long[indexes[1]]
        and short[indexes[1]] == long[indexes[0]]
    )
