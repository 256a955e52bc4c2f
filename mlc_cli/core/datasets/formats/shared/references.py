"""What names an image: a path of any system, or an address."""

import re
from collections import defaultdict
from collections.abc import Sequence
from unicodedata import normalize
from urllib.parse import unquote

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/(?:/[^/]*)?", re.IGNORECASE)


def is_address(reference: str) -> bool:
    """Whether it is an address such as `https://host/a.jpg` or `s3://bucket/a.jpg`."""
    return _ADDRESS.match(reference) is not None


def reference_parts(reference: str) -> list[str]:
    """Folders and name of a path or an address, without host, query and escapes."""
    address = _ADDRESS.match(reference)
    if address is None and not reference.startswith("/data/"):
        return reference.replace("\\", "/").split("/")
    place, _, query = reference[address.end() if address else 0 :].partition("#")[0].partition("?")
    local = query.partition("d=")[2] if place.endswith("local-files/") else ""
    return unquote(local or place).split("/")


def name_start(reference: str) -> int:
    """Where the name of a reference begins."""
    return (reference.rfind("\\") if "\\" in reference else reference.rfind("/")) + 1


def in_folders(references: Sequence[str]) -> dict[str, list[str]]:
    """References by what stands before their names.

    Those that differ in the separator alone come together; `names_in` finds no names of them.
    """
    mixed, found = "\\" in "".join(references), defaultdict[str, list[str]](list)
    for own in references:
        found[own.rpartition("\\" if mixed and "\\" in own else "/")[0]].append(own)
    return {own[0][: name_start(own[0])]: own for own in found.values()}


def names_in(folder: str, references: Sequence[str], old: str = "", new: str = "") -> Sequence[str]:
    """Names of references of a folder, with an ending for another where they have it.

    None where addresses have escapes, which `find` decodes. All are changed in one text, as that
    is much faster than one by one.
    """
    text = "\0".join(["", *references, ""]).replace(f"\0{folder}", "/").replace("\0", "/")
    if is_address(folder):
        if "?" in folder or "%" in text or "#" in text:
            return []
        query = text[1:].partition("/")[0].partition("?")[2]
        text = text.replace(f"?{query}/", "/")  # mostly the same, or none
        if "?" in text:
            text = "/".join([own.partition("?")[0] for own in text.split("/")])
    if old != new:
        text = text.replace(f"{old}/", f"{new}/").removeprefix(new if not old else "")
    names = text.split("/")[1:-1]
    return names if len(names) == len(references) else []


def loose_stem(stem: str) -> str:
    """What stems have in common that may mean one file: decoded, composed, in one case."""
    stem = normalize("NFC", unquote(stem)).casefold()
    return stem.lstrip("0") if stem.isdigit() else stem
