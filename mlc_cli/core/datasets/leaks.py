"""Images that belong together and lie in several splits: frames of a video, one patient's pictures.

They are told by their names, or by a column that was kept beside the annotation.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mlc_cli.core.datasets.formats.shared.split_names import meaning, split_of_name

_KINDS = (
    "patient|subject|participant|person|individual|animal|video|vid|clip|movie|scene|sequence|seq"
    "|session|burst|case|study|group"
)
_NUMBERED_KIND = re.compile(rf"(?i)(?<![a-z])(?:{_KINDS})[ _-]?\d+(?!\d|\.\w+$)")
_FRAME = re.compile(r"(?i)(?:^|/)([^/]+?)[ _.-]*(?:frame|frm|mp4|mov|avi|mkv)[ _.-]*\d")
_ONE_SOURCE = re.compile(r"(?:^|/)([^/]+)\.rf\.\w+\.\w+$")
_RUNNING_NUMBER = re.compile(r"(?:^|/)([^/]*?[^/ _-])[ _-]+\d+\.\w+$")
_MARK = re.compile(rf"(?:{_KINDS}|frame|frm|mp4|mov|avi|mkv)[ _.-]*\d|\.rf\.|[ _-]\d+\.\w+$")
"""What all names of groups have, in lower case: a glance that spares most names the patterns."""
_NAMES = (
    ("of a video, a patient or the like", _NUMBERED_KIND),
    ("of frames of one video", _FRAME),
    ("of copies of one picture", _ONE_SOURCE),
    ("with one name before a running number", _RUNNING_NUMBER),
)
_DATE = re.compile(r"(?:\D*[ _-])?(?:19|20)\d\d(?:\d{4}|[ _-]\d\d[ _-]\d\d)?")
_LONGEST = 1000
"""Characters of a path from which it is not looked at: the time would grow with their square."""
_SHARE, _LARGEST = 0.3, 500
"""Of names with a running number: images that must have a companion, and the mean size of groups
up to which a number before it is that of a source and not that of a collection."""
_COLUMN = re.compile(
    rf"(?i)(?:^|[^a-z])(?:{_KINDS}|lesion|location|slide|specimen|user)s?"
    r"(?:[ _-]?(?:u?ids?|no|nr|num|number|name|key|index))?(?:$|[^a-z])"
)
_FEWEST = 3
"""Values of a column from which they may be those of groups, and not two kinds of images."""


class Leak(NamedTuple):
    """Groups of images of which several splits have some, each with its images in each split.

    `what` they are follows the word `groups`; `flag` of `mlc dataset-convert` keeps them together.
    """

    what: str
    flag: str
    groups: list[str]


def leak_by_name(paths: Mapping[str, Sequence[str]]) -> list[Leak]:
    """Groups in several splits by the first pattern of names that shows some; else none."""
    marked = [
        (split, path)
        for split, own in paths.items()
        for path in own
        if len(path) < _LONGEST and _MARK.search(path.lower())
    ]
    for what, pattern in _NAMES:
        sizes: dict[str, Counter[str]] = {}
        for split, path in marked:
            if (found := pattern.search(path)) and (key := _key(found)):
                sizes.setdefault(key, Counter())[split] += 1
        if pattern is _RUNNING_NUMBER and not _is_telling(sizes, sum(map(len, paths.values()))):
            continue
        if crossing := _crossing(sizes):
            shown = pattern.pattern
            if pattern is _NUMBERED_KIND:  # the words of this data set alone
                words = sorted({re.split(r"[ _-]?\d", key)[0].lower() for key in sizes})
                shown = rf"(?i)(?:{'|'.join(words)})[ _-]?\d+"
            return [Leak(what, f"--group-by '{shown}'", crossing)]
    return []


def tells_groups(column: str) -> bool:
    """Whether a column is called after videos, patients and the like."""
    return bool(_COLUMN.search(column))


def find_leaks(
    paths: Mapping[str, Sequence[str]],
    cells: Mapping[str, Sequence[Mapping[str, str]]],
    group: str,
    *,
    by_name: bool = True,
) -> list[Leak]:
    """Groups in several splits by the columns that are called after groups, else by names.

    Paths and cells are those of the images of each split; `group` is a column that is known to tell
    groups, and may be empty.
    """
    names = dict.fromkeys(name for rows in cells.values() for own in rows for name in own)
    leaks = []
    for name in (name for name in names if name == group or tells_groups(name)):
        sizes: dict[str, Counter[str]] = {}
        for split, rows in cells.items():
            for value in filter(None, (own.get(name) for own in rows)):
                sizes.setdefault(value, Counter())[split] += 1
        crossing = _crossing(sizes)
        if crossing and (name == group or len(sizes) >= _FEWEST):
            leaks.append(Leak(f"of one {name}", f"--group-column {name}", crossing))
    return leaks or (leak_by_name(paths) if by_name else [])


def _key(found: re.Match[str]) -> str:
    """Name of a group; empty if what is before a number tells a date or a split, and no group.

    With a running number, names count within a folder, but for that of the split.
    """
    if found.re is not _RUNNING_NUMBER:
        return found[min(1, found.re.groups)]
    if not _may_tell(found[1]):
        return ""
    folders = found.string[: found.start(1)].split("/")
    return "/".join([*(folder for folder in folders[:-1] if not meaning(folder)), found[1]])


@lru_cache(4096)
def _may_tell(name: str) -> bool:
    """Whether what is before a number has one itself, and is neither a date nor a split."""
    return not (_DATE.fullmatch(name) or split_of_name(name)) and bool(re.search(r"\d", name))


def _is_telling(sizes: Mapping[str, Counter[str]], images: int) -> bool:
    several = [total for own in sizes.values() if (total := own.total()) > 1]
    return len(several) > 1 and _SHARE * images < sum(several) <= _LARGEST * len(several)


def _crossing(sizes: Mapping[str, Counter[str]]) -> list[str]:
    return [
        f"{key}: " + ", ".join(f"{count} in {split}" for split, count in own.items())
        for key, own in sizes.items()
        if len(own) > 1
    ]
