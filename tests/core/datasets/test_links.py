import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.links import fetch_links, read_links
from mlc_cli.core.system.downloads.transfer import transfer
from mlc_cli.errors import DataError, DownloadError
from tests.web import Handler, Web

JPEG = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def written(folder: Path, text: str) -> Path:
    (folder / "list").write_text(text, encoding="utf-8")
    return folder / "list"


def test_the_list_of_nus_wide_is_read(tmp_path: Path) -> None:
    text = (
        "Photo_file      Photo_id     url_Large     url_Middle    url_Small  url_Original\n"
        r"C:\ImageData\Flickr\actor\0001_2124494179.jpg     2124494179    null http://f/m.jpg "
        "http://f/s.jpg null\n"
        r"C:\ImageData\Flickr\zoos\0002_1.jpg     1    http://f/l.jpg null null null"
        "\n"
    )
    assert read_links(written(tmp_path, text), None) == {
        "actor/0001_2124494179.jpg": ["http://f/m.jpg", "http://f/s.jpg"],
        "zoos/0002_1.jpg": ["http://f/l.jpg"],
    }


def test_a_table_of_open_images_is_read(tmp_path: Path) -> None:
    text = (
        "ImageID,Subset,OriginalURL,OriginalLandingURL,License,Author,Title,Thumbnail300KURL\n"
        '000595fe,train,https://f/1.jpg,https://www.f/1,https://cc,"Me, myself",a,https://t/1\n'
    )
    template = "https://s3/{path}"
    assert read_links(written(tmp_path, text), template) == {
        "train/000595fe.jpg": ["https://s3/train/000595fe.jpg", "https://f/1.jpg"]
    }


def test_a_list_of_ids_is_read(tmp_path: Path) -> None:
    found = read_links(written(tmp_path, "train/0a1b\nvalidation/0c.jpg\n"), "https://s3/{path}")
    assert found == {
        "train/0a1b.jpg": ["https://s3/train/0a1b.jpg"],
        "validation/0c.jpg": ["https://s3/validation/0c.jpg"],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [("../a.jpg http://f/a", "leads out"), ("/a.jpg http://f/a", "leads out"),
     (r"C:\x\..\..\a.jpg http://f/a", "leads out"), ("a.jpg null", "has no address"),
     ("a.jpg http://f/a\nb.jpg", "has no address")],
)  # fmt: skip
def test_a_list_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_links(written(tmp_path, f"a/b.jpg http://f/b\n{text}"), None)


@pytest.mark.parametrize("text", ["train/1", '"', "1,train"])
def test_a_table_that_is_cut_off_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="list"):
        read_links(written(tmp_path, f"ImageID,Subset,OriginalURL\n{text}\n"), None)


@pytest.mark.parametrize("text", ["", "\n", "Photo_file url_Large\n"])
def test_a_list_of_nothing_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="lists no pictures"):
        read_links(written(tmp_path, text), None)


def test_each_picture_is_there_or_gone_or_to_be_tried_again(web: Web, tmp_path: Path) -> None:
    web.put("/photo_unavailable.png", PNG)
    web.at("/page", lambda handler: handler.send_text("<html><title>gone</title></html>"))
    web.at("/busy", lambda handler: handler.send_error(503))
    web.at("/moved", lambda handler: handler.redirect("/photo_unavailable.png"))
    links = {
        "a/good.jpg": [web.put("/good", JPEG)],
        "a/second.jpg": [web.url + "/404", web.put("/second", PNG)],
        "a/404.jpg": [web.url + "/404"],
        "b/moved.jpg": [web.url + "/moved"],
        "b/page.jpg": [web.url + "/page"],
        "b/text.jpg": [web.put("/text", b"no picture")],
        "b/busy.jpg": [web.url + "/404", web.url + "/busy"],
    }
    far: list[tuple[int, int]] = []
    found = fetch_links(links, tmp_path / "out", lambda *one: far.append(one), 3)
    assert found.there == 2
    assert sorted(found.gone) == ["a/404.jpg", "b/moved.jpg", "b/page.jpg", "b/text.jpg"]
    assert "404" in found.gone["a/404.jpg"]
    assert list(found.failed) == ["b/busy.jpg"]
    assert far == [(number, 7) for number in range(1, 8)]
    pictures = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert pictures == {"good.jpg", "second.jpg", "gone.csv"}

    web.seen.clear()
    web.at("/busy", lambda handler: handler.send_file(JPEG))
    again = fetch_links(links, tmp_path / "out", lambda *_: None, 3)
    assert {path for path, _ in web.seen} == {"/404", "/busy"}
    assert again == (3, found.gone, {})
    only = {"a/good.jpg": links["a/good.jpg"]}
    assert fetch_links(only, tmp_path / "out", lambda *_: None, 3) == (1, {}, {})


def test_a_picture_that_was_cut_off_goes_on(web: Web, tmp_path: Path) -> None:
    asked: list[int] = []

    def dying(handler: Handler) -> None:
        asked.append(1)
        web.cut["/p"] = [20] if len(asked) == 1 else []
        if len(asked) in (2, 3):
            handler.send_error(503)
        else:
            handler.send_file(JPEG, "/p")

    links = {"p.jpg": [web.at("/p", dying)]}
    assert list(fetch_links(links, tmp_path, lambda *_: None, 1).failed) == ["p.jpg"]
    assert fetch_links(links, tmp_path, lambda *_: None, 1).there == 1
    assert web.ranges()[-1] == "bytes=20-"
    assert (tmp_path / "p.jpg").read_bytes() == JPEG


def test_a_page_to_sign_in_at_does_not_make_all_pictures_gone(web: Web, tmp_path: Path) -> None:
    page = "<html><title>Hotel</title></html>"
    links = {
        f"{name}.jpg": [web.at(f"/{name}", lambda handler: handler.send_text(page))]
        for name in "ab"
    }
    with pytest.raises(DownloadError, match=r"none of 2 pictures could be had.*'Hotel'"):
        fetch_links(links, tmp_path, lambda *_: None, 1)
    web.answers.clear()
    web.put("/a", JPEG)
    found = fetch_links(links, tmp_path, lambda *_: None, 1)
    assert (found.there, list(found.gone)) == (1, ["b.jpg"])


def test_a_picture_in_place_of_another_is_not_taken_after_a_kill(web: Web, tmp_path: Path) -> None:
    web.put("/photo_unavailable.jpg", JPEG)
    web.put("/good", JPEG)
    url = web.at("/a", lambda handler: handler.redirect("/photo_unavailable.jpg"))
    transfer(url, tmp_path / ".a.jpg.part", lambda *_: None, threading.Event())
    links = {"a.jpg": [url], "b.jpg": [web.url + "/good"]}
    found = fetch_links(links, tmp_path, lambda *_: None, 1)
    assert list(found.gone) == ["a.jpg"]
    assert not (tmp_path / "a.jpg").exists()


@pytest.mark.parametrize("code", [401, 407])
def test_who_may_not_ask_has_not_lost_pictures(web: Web, tmp_path: Path, code: int) -> None:
    links = {
        "a.jpg": [web.put("/a", JPEG)],
        "b.jpg": [web.at("/b", lambda handler: handler.send_error(code))],
    }
    assert list(fetch_links(links, tmp_path, lambda *_: None, 1).failed) == ["b.jpg"]
