"""Elements of XML files, read safely: no entities, nothing from elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse, parse

from mlc_cli.core.datasets.formats.shared.lines import is_file
from mlc_cli.errors import DataError


def whole(path: Path) -> Element:
    """The outermost element of a small XML file.

    Raises:
        DataError: The file is missing or cannot be read, is not XML, or defines entities.
    """
    with _opened(path) as stream:
        root: Element = parse(stream).getroot()
        return root


def elements(path: Path, *tags: str) -> Iterator[Element]:
    """Elements of some tags, each when it is complete; all before it is forgotten then.

    None of them may be inside another.

    Raises:
        DataError: The file is missing or cannot be read, is not XML, or defines entities.
    """
    with _opened(path) as stream:
        events = iterparse(stream, events=("start", "end"))
        _, root = next(events)
        for event, element in events:
            if event == "end" and element.tag in tags:
                yield element
                root.clear()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if not is_file(path):
        raise DataError(f"{path}: there is no such file")
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except DefusedXmlException:
        raise DataError(
            f"{path}: defines entities, which are refused: they can fill the memory"
        ) from None
    except (ParseError, ValueError, LookupError) as error:  # the latter two: its encoding
        raise DataError(f"{path}: is not valid XML: {error}") from None
