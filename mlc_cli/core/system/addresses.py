"""Telling addresses (`s3://`, `gs://`, `hf://`, `https://`) from paths, and showing them.

`Path` writes `s3://bucket/key` as `s3:/bucket/key`; here both are understood, so that whoever joins
paths need not know.
"""

import re
from pathlib import Path, PosixPath

Place = Path | str
_ADDRESS = re.compile(r"(s3|gs|hf|https?):/+(?=[^/\s?#\[\]])")
_SECRET = re.compile(
    r"\b((?:s3|gs|hf|https?):/+)(?:[^/\s@'\"]*@)?([^\s?'\"]*)"
    r"(?:\?(?=[^\s'\"]*(?i:sig|token|key|credential|secret|passw|auth))[^\s'\"]*)?"
)


class Listed(PosixPath):
    """An address that an annotation file has: somebody else may have written it."""


def is_remote(place: Place) -> bool:
    """Whether it is an address rather than a path of this machine."""
    return _ADDRESS.match(str(place)) is not None


def address(place: Place) -> str:
    """The address as it is typed; a path of this machine as it is."""
    return _ADDRESS.sub(r"\1://", str(place), count=1)


def shown(place: Place) -> str:
    """For messages: an address without the parts that may be secret; paths as they are."""
    return without_secrets(address(place)) if is_remote(place) else str(place)


def in_text(text: str) -> str:
    """A message in which a `Path` was an address, as it is typed, but for what may be secret."""
    return without_secrets(re.sub(r"\b(s3|gs|hf|https?):/(?=[^/\s])", r"\1://", text))


def without_secrets(text: str) -> str:
    """Text without names and passwords in addresses, nor the queries of signed ones."""
    return _SECRET.sub(r"\1\2", text)
