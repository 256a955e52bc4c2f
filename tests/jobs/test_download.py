"""`mlc dataset-download`, from a server on this machine with archives of the official layouts."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlc_cli.core.system.files import only_writer
from mlc_cli.settings.download import DatasetDownloadSettings
from mlc_cli.settings.presets import preset_names
from mlc_cli.settings.resolve import gather, validate
from tests.web import Handler, Web

NAMES = preset_names("dataset-download")


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def instances(split: str, ids: range) -> bytes:
    return json.dumps(
        {
            "images": [
                {"id": n, "file_name": f"COCO_{split}2014_{n:012}.jpg", "width": 24, "height": 16}
                for n in ids
            ],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [0, 0, 5, 5], "area": 25,
                 "iscrowd": 0} for n in ids
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
    ).encode()  # fmt: skip


def pictures(split: str, ids: range) -> dict[str, bytes]:
    return {f"{split}2014/COCO_{split}2014_{n:012}.jpg": jpeg(n) for n in ids}


COCO = {
    "annotations": ("annotations_trainval2014.zip", {
        "annotations/instances_train2014.json": instances("train", range(1, 9)),
        "annotations/instances_val2014.json": instances("val", range(11, 15)),
        "annotations/captions_val2014.json": b"{}",
    }),
    "train": ("train2014.zip", pictures("train", range(1, 9))),
    "val": ("val2014.zip", pictures("val", range(11, 15))),
}  # fmt: skip


@pytest.fixture
def coco(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags for a small COCO, as the mirror of a university would have it."""
    monkeypatch.chdir(tmp_path)
    flags = ["--mirror", web.url + "/mirror/"]
    for name, (file, content) in COCO.items():
        data = zipped(content)
        web.put(f"/mirror/{file}", data)
        flags += ["--set", f"files.{name}.checksum=sha256:{hashlib.sha256(data).hexdigest()}"]
        flags += ["--set", f"files.{name}.bytes={len(data)}"]
    return ["dataset-download", "coco14", *flags]


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "convert.json"
    }


def test_one_command_leads_to_a_data_set_that_is_checked(mlc, coco, web, tmp_path) -> None:
    outcome = mlc(*coco)
    assert outcome.code == 0, outcome.err
    assert "licence: annotations CC BY 4.0" in outcome.err
    assert "next: mlc dataset-check datasets/coco14" in outcome.err
    train = json.loads((tmp_path / "datasets/coco14/train.json").read_text())
    assert train["classes"] == ["cat", "dog"]
    assert train["images"][0] == [
        "source/train2014/COCO_train2014_000000000001.jpg",
        ["dog"],
    ]
    assert not (tmp_path / "datasets/coco14/source/annotations/captions_val2014.json").exists()
    checked = mlc("dataset-check", "datasets/coco14", "--json")
    assert checked.code == 0, checked.err
    splits = json.loads(checked.out)["splits"]
    assert {name: split["images"] for name, split in splits.items()} == {"train": 8, "val": 4}

    web.seen.clear()
    again = mlc(*coco)
    assert again.code == 0
    assert "all of coco14 is there already" in again.err
    assert web.seen == []


def test_a_second_download_of_the_same_is_refused(mlc, coco, tmp_path) -> None:
    source = tmp_path / "datasets/coco14/source"
    source.mkdir(parents=True)
    with only_writer(source):
        outcome = mlc(*coco)
    assert outcome.code == 1
    assert "coco14/source: another process is writing it" in outcome.err
    assert list(source.iterdir()) == []


def test_a_second_call_does_what_is_missing(mlc, coco, web, tmp_path) -> None:
    assert mlc(*coco).code == 0
    whole = everything(tmp_path / "datasets")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "datasets/coco14/source/val2014/COCO_val2014_000000000012.jpg").unlink()
    (tmp_path / "datasets/coco14/train.json").unlink()
    web.seen.clear()
    assert mlc(*coco).code == 0
    assert [path for path, _ in web.seen] == ["/mirror/val2014.zip"]
    assert everything(tmp_path / "datasets") == whole


def test_another_conversion_is_made_without_a_download(mlc, coco, web, tmp_path) -> None:
    assert mlc(*coco).code == 0
    web.seen.clear()
    outcome = mlc(*coco, "--set", "convert.drop_class=dog")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "datasets/coco14/train.json").read_text())["classes"] == ["cat"]
    assert web.seen == []
    again = mlc(*coco, "--set", "convert.drop_class=dog")
    assert "all of coco14 is there already" in again.err


def test_killed_at_any_moment_and_called_again_it_is_the_same(mlc, coco, web, tmp_path) -> None:
    def slow(handler: Handler) -> None:
        write = handler.wfile.write
        handler.wfile.write = (
            lambda data: [  # type: ignore[method-assign]
                (write(data[at : at + 500]), time.sleep(0.02)) for at in range(0, len(data), 500)
            ]
        )
        handler.send_file(web.files[handler.path])

    for path in web.files:
        web.at(path, slow)
    # the pauses are long for a process that starts: it is killed between 0.8 and 2.6 seconds
    for wait in (0.8, 1.1, 1.4, 1.8, 2.6):
        process = subprocess.Popen(
            [sys.executable, "-m", "mlc_cli", *coco], stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        )  # fmt: skip
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    web.answers.clear()
    assert mlc(*coco).code == 0
    killed = everything(tmp_path / "datasets")
    shutil.rmtree(tmp_path / "datasets")
    shutil.rmtree(tmp_path / "cache")
    assert mlc(*coco).code == 0
    assert killed == everything(tmp_path / "datasets")


def test_ctrl_c_is_a_line_and_exit_code_130(coco, web, tmp_path) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000000")
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(100_000))
            time.sleep(0.01)

    web.at("/mirror/train2014.zip", endless)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlc_cli", *coco], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not any((tmp_path / "cache").rglob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted"


def test_what_goes_wrong_is_one_clear_line(mlc, coco, web) -> None:
    def fails(*more: str) -> str:
        outcome = mlc(*coco, *more)
        assert outcome.code == 1
        assert outcome.out == ""
        (line,) = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
        return line

    path = "/mirror/val2014.zip"
    assert "another checksum" in fails("--set", f"files.val.checksum=md5:{'0' * 32}")
    web.at(path, lambda handler: handler.send_error(404))
    assert f"{path}: the server says 404" in fails()
    web.at("/login", lambda handler: handler.send_text("<html><title>Log in</title></html>"))
    web.at(path, lambda handler: handler.redirect("/login"))
    assert "a web page came in place of the file: 'Log in'" in fails()
    assert "checksum is not known" in fails("--set", "files.val.checksum=null")
    del web.answers[path]
    assert mlc(*coco).code == 0


def test_a_disk_that_is_too_small_is_said_first(
    mlc, coco, web, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    size = sum(len(data) for data in web.files.values())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, int(size * 1.9)))
    outcome = mlc(*coco)
    assert outcome.code == 1
    assert "GB are needed, and" in outcome.err
    assert web.seen == []


def test_what_is_unpacked_already_needs_no_room(
    mlc, coco, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mlc(*coco).code == 0
    (tmp_path / "datasets/coco14/source/val2014/COCO_val2014_000000000012.jpg").unlink()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 3000))
    assert len(web.files["/mirror/val2014.zip"]) > 3000
    outcome = mlc(*coco)
    assert outcome.code == 0, outcome.err


def test_offline_says_what_is_not_there(mlc, coco, web) -> None:
    outcome = mlc(*coco, "--offline")
    assert outcome.code == 1
    assert "--offline forbids" in outcome.err
    assert web.seen == []


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_checksum_asks_nobody_and_says_the_flag(mlc, web, tmp_path, name) -> None:
    (tmp_path / "links.txt").write_text("a/b.jpg http://127.0.0.1:1/b.jpg\n")
    arguments = ["--mirror", web.url, "--set", f"dest={tmp_path / 'out'}"]
    if name in ("nus-wide", "open-images"):
        arguments += ["--links", str(tmp_path / "links.txt")]
    settings = validate(
        DatasetDownloadSettings,
        gather(DatasetDownloadSettings, "dataset-download", preset=name, flags={"dest": "x"}),
    )
    unknown = [file for file in settings.files.values() if file.checksum is None]
    outcome = mlc("dataset-download", name, *arguments)
    assert outcome.code == 1
    assert ("--trust-download" in outcome.err) == bool(unknown)
    if unknown:
        assert web.seen == []


def test_pascal_voc_is_trained_on_trainval_and_measured_on_test(
    mlc, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = []
    for name, file, split, ids in (
        ("trainval", "VOCtrainval_06-Nov-2007.tar", ("train", "val"), range(1, 5)),
        ("test", "VOCtest_06-Nov-2007.tar", ("test",), range(11, 14)),
    ):
        top = "VOCdevkit/VOC2007"
        files = {f"{top}/JPEGImages/{n:06}.jpg": jpeg(n) for n in ids}
        for n in ids:
            files[f"{top}/Annotations/{n:06}.xml"] = (
                f"<annotation><filename>{n:06}.jpg</filename><object><name>cat</name>"
                "<difficult>0</difficult></object></annotation>"
            ).encode()
            files[f"{top}/SegmentationClass/{n:06}.png"] = b"not wanted"
        for number, one in enumerate(split):
            listed = [n for n in ids if n % len(split) == number]
            files[f"{top}/ImageSets/Main/{one}.txt"] = "".join(f"{n:06}\n" for n in listed).encode()
        data = tarred(files)
        web.put(f"/{file}", data)
        flags += ["--set", f"files.{name}.checksum=md5:{hashlib.md5(data).hexdigest()}"]
        flags += ["--set", f"files.{name}.bytes={len(data)}"]
    outcome = mlc("dataset-download", "voc07", "mine", "--mirror", web.url, *flags)
    assert outcome.code == 0, outcome.err
    counts = {
        split: len(json.loads((tmp_path / f"mine/{split}.json").read_text())["images"])
        for split in ("train", "val")
    }
    assert counts == {"train": 4, "val": 3}
    assert not list((tmp_path / "mine").rglob("*.png"))


def test_vg500_takes_its_lists_and_both_archives(
    mlc, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {n: f"{n}.jpg" for n in range(1, 7)}
    labels = {name: [n, 499] for n, name in names.items()}
    web.put("/train_list_500.txt", "".join(f"{names[n]}\n" for n in (1, 2, 3, 4)).encode())
    web.put("/test_list_500.txt", "".join(f"{names[n]}\n" for n in (5, 6)).encode())
    web.put("/vg_category_500_labels_index.json", json.dumps(labels).encode())
    web.put("/images.zip", zipped({f"VG_100K/{names[n]}": jpeg(n) for n in (1, 2, 5)}))
    web.put("/images2.zip", zipped({f"VG_100K_2/{names[n]}": jpeg(n) for n in (3, 4, 6)}))
    flags = ["--mirror", web.url, "--trust-download"]
    for name in ("train_list", "test_list", "labels", "images", "images2"):
        flags += ["--set", f"files.{name}.checksum=null", "--set", f"files.{name}.bytes=null"]
    outcome = mlc("dataset-download", "vg500", *flags)
    assert outcome.code == 0, outcome.err
    val = json.loads((tmp_path / "datasets/vg500/val.json").read_text())
    assert len(val["classes"]) == 500
    assert dict(map(tuple, [(path, sorted(own)) for path, own in val["images"]])) == {
        "source/VG_100K/5.jpg": ["class_005", "class_499"],
        "source/VG_100K_2/6.jpg": ["class_006", "class_499"],
    }
    trusted = json.loads((tmp_path / "cache/mlc/trusted.json").read_text())
    assert set(trusted) == {f"{web.url}{path}" for path in web.files}


def nus_wide(web: Web, folder: Path, gone: Callable[[Handler], None]) -> list[str]:
    """Serve NUS-WIDE with four pictures, of which one is gone; the flags for it."""
    concepts, train, test = ["sky", "dog"], ["a\\1.jpg", "b\\2.jpg"], ["a\\3.jpg", "b\\4.jpg"]
    web.put("/ConceptsList.zip", zipped({"Concepts81.txt": "\n".join(concepts).encode()}))
    lists = {"Train": train, "Test": test}
    web.put("/ImageList.zip", zipped({
        f"ImageList/{split}Imagelist.txt": "\n".join(paths).encode()
        for split, paths in lists.items()
    }))  # fmt: skip
    web.put("/Groundtruth.zip", zipped({
        f"TrainTestLabels/Labels_{concept}_{split}.txt": b"1\n1\n" if concept == "dog" else b"1 0"
        for concept in concepts for split in lists
    }))  # fmt: skip
    rows = ["Photo_file Photo_id url_Large url_Middle url_Small url_Original"]
    for number, path in enumerate(train + test, start=1):
        where = web.put(f"/p{number}", jpeg(number))
        rows.append(rf"C:\ImageData\Flickr\{path} {number} null {where} null null")
    web.at("/p4", gone)
    (folder / "urls.txt").write_text("\n".join(rows) + "\n")
    return ["dataset-download", "nus-wide", "--mirror", web.url, "--links", "urls.txt",
            "--trust-download"]  # fmt: skip


def test_nus_wide_takes_a_list_and_says_what_is_gone(
    mlc, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    web.put("/photo_unavailable.png", jpeg(9))
    flags = nus_wide(web, tmp_path, lambda handler: handler.redirect("/photo_unavailable.png"))
    outcome = mlc(*flags)
    assert outcome.code == 0, outcome.err
    assert "3 pictures are there; gone: 1 (gone.csv" in outcome.err
    val = json.loads((tmp_path / "datasets/nus-wide/val.json").read_text())
    assert val["images"] == [["source/Flickr/a/3.jpg", ["dog", "sky"]]]
    gone = (tmp_path / "datasets/nus-wide/source/Flickr/gone.csv").read_text()
    assert gone.startswith('"b/4.jpg","')


def test_pictures_that_could_not_be_fetched_this_time_are_fetched_the_next(
    mlc, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = nus_wide(web, tmp_path, lambda handler: handler.send_error(503))
    outcome = mlc(*flags)
    assert outcome.code == 1
    assert "1 of 4 pictures could not be fetched this time" in outcome.err
    assert not (tmp_path / "datasets/nus-wide/val.json").exists()
    del web.answers["/p4"]
    assert mlc(*flags).code == 0
    val = json.loads((tmp_path / "datasets/nus-wide/val.json").read_text())
    assert len(val["images"]) == 2


def test_open_images_takes_the_pictures_that_are_listed(
    mlc, web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    web.put("/class-descriptions.csv", b"/m/1,Cat\n/m/2,Dog\n")
    for split, images in (("train", "abc"), ("validation", "de"), ("test", "f")):
        rows = [f"{image},verification,/m/{1 + n % 2},1" for n, image in enumerate(images)]
        table = "\n".join(["ImageID,Source,LabelName,Confidence", *rows]) + "\n"
        web.put(f"/{split}-annotations-human-imagelabels.csv", table.encode())
    for path in ("train/a", "train/b", "validation/d"):
        web.put(f"/s3/{path}.jpg", jpeg(ord(path[-1])))
    (tmp_path / "mine.txt").write_text("train/a\ntrain/b\nvalidation/d\n")
    flags = ["--mirror", web.url, "--trust-download", "--links", "mine.txt",
             "--set", f"links.url={web.url}/s3/{{path}}"]  # fmt: skip
    for name in ("classes", "train", "validation", "test"):
        flags += ["--set", f"files.{name}.checksum=null", "--set", f"files.{name}.bytes=null"]
    outcome = mlc("dataset-download", "open-images", *flags)
    assert outcome.code == 0, outcome.err
    train = json.loads((tmp_path / "datasets/open-images/train.json").read_text())
    assert [path for path, *_ in train["images"]] == [
        "source/train/a.jpg",
        "source/train/b.jpg",
    ]
    again = mlc("dataset-download", "open-images", *flags)
    assert "all of open-images is there already" in again.err
    (tmp_path / "mine.txt").write_text("train/c\n")
    web.put("/s3/train/c.jpg", jpeg(3))
    assert mlc("dataset-download", "open-images", *flags).code == 0
    train = json.loads((tmp_path / "datasets/open-images/train.json").read_text())
    assert len(train["images"]) == 3


@pytest.mark.parametrize("name", NAMES)
def test_every_address_says_where_it_was_read(name: str) -> None:
    content = gather(DatasetDownloadSettings, "dataset-download", preset=name, flags={"dest": "x"})
    settings = validate(DatasetDownloadSettings, content)
    for file in settings.files.values():
        assert len(file.read) > 20
        assert file.checksum is not None or "no" in file.read or "neither" in file.read
    assert "http" in settings.licence


def test_a_training_without_the_data_says_the_command(mlc, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mlc("train", "--preset", "effnetv2s-coco")
    assert outcome.code == 1
    assert "Get it with: mlc dataset-download coco14 datasets/coco14" in outcome.err
    assert not (tmp_path / "runs").exists()
