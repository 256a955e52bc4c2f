"""Finding files by addresses and uploaded copies."""

import pytest

from mlc_cli.core.datasets.formats.shared.references import ImageFinder, is_address
from mlc_cli.core.system.issues import IssueLog

FILES = ("a/one.jpg", "b/one.jpg", "b/c/one.jpg", "x y+ä.jpg", "0a1b2c3d-marked.jpg", "plain.png")


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("plain.png", "plain.png"),
        ("any/where/plain.png", "plain.png"),
        ("C:\\any\\plain.png", "plain.png"),
        ("a/one.jpg", "a/one.jpg"),
        ("/far/b/c/one.jpg", "b/c/one.jpg"),
        ("https://host/bucket/a/one.jpg?X-Sig=a/b&d=1#top", "a/one.jpg"),
        ("s3://bucket/b/c/one.jpg", "b/c/one.jpg"),
        ("gs://bucket/x%20y+%C3%A4.jpg", "x y+ä.jpg"),
        ("/data/upload/12/0a1b2c3d-marked.jpg", "0a1b2c3d-marked.jpg"),
        ("/data/upload/12/99887766-plain.png", "plain.png"),
        ("/data/local-files/?d=photos/b/c/one.jpg", "b/c/one.jpg"),
        ("/data/local-files/?d=photos%2Fx%20y%2B%C3%A4.jpg", "x y+ä.jpg"),
    ],
)
def test_a_file_is_found(put, tmp_path, reference, path) -> None:
    for file in FILES:
        put(file)
    dropped = IssueLog()
    assert ImageFinder(tmp_path, dropped).find(reference) == path
    assert not dropped.counts


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("", "without a name"),
        ("data:image/png;base64," + "A" * 10**6, "without a name"),
        ("one.jpg", "more than one file"),
        ("https://host/z/one.jpg", "more than one file"),
    ],
)
def test_what_is_not_clear_is_counted(put, tmp_path, reference, kind) -> None:
    for file in FILES:
        put(file)
    dropped = IssueLog()
    assert ImageFinder(tmp_path, dropped).find(reference) is None
    [found] = dropped.counts
    assert kind in found
    assert len(dropped.lines()) < 400


@pytest.mark.parametrize(
    ("reference", "path"),
    [("none.jpg", "none.jpg"), ("https://host/x/none.jpg?a=1", "x/none.jpg"),
     ("marked.jpg", "marked.jpg")],
)  # fmt: skip
def test_what_is_not_found_keeps_its_path(put, tmp_path, reference, path) -> None:
    put(FILES[4])
    dropped = IssueLog()
    assert ImageFinder(tmp_path, dropped).find(reference) == path
    assert not dropped.counts


def test_an_address_has_a_scheme() -> None:
    assert is_address("HTTPS://host/a.jpg")
    assert is_address("azure-blob://a/b.jpg")
    assert not is_address("folder/a://b.jpg")
    assert not is_address("/data/upload/1/a.jpg")
