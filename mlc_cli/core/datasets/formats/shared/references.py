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
    """Names of references by what stands before them, as `name_start` says a million times."""
    mixed, found = "\\" in "".join(references), defaultdict[str, list[str]](list)
    for own in references:
        folder, mark, name = own.rpartition("\\" if mixed and "\\" in own else "/")
        found[folder + mark].append(name)
    return found


def names_in(folder: str, names: Sequence[str], old: str = "", new: str = "") -> Sequence[str]:
    """Names of files of references of a folder, with an ending for another where they have it.

    None where addresses have escapes, which `find` decodes. All are changed in one text, as that
    is much faster than one by one.
    """
    plain = not is_address(folder)
    if plain and old == new:
        return names
    text = "/".join([*names, ""])
    if not plain:
        if "?" in folder or "%" in text or "#" in text:
            return []
        query = names[0].partition("?")[2]
        text = text.replace(f"?{query}/", "/")  # mostly the same, or none
        if "?" in text:
            text = "/".join([own.partition("?")[0] for own in text.split("/")])
    if old != new:
        text = f"/{text}".replace(f"{old}/", f"{new}/").removeprefix(new if not old else "")[1:]
    found = text.split("/")[:-1]
    return found if len(found) == len(names) else []


def loose_stem(stem: str) -> str:
    """What stems have in common that may mean one file: decoded, composed, in one case."""
    stem = normalize("NFC", unquote(stem)).casefold()
    return stem.lstrip("0") if stem.isdigit() else stem
