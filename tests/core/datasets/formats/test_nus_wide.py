"""NUS-WIDE."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.nus_wide import NUS_WIDE_READER
from mlc_cli.errors import DataError

CONCEPTS = ["airport", "animal", "beach"]


@pytest.fixture
def nus(put: Callable[..., Path], tmp_path: Path) -> Path:
    """Three images of training and two of test, as the archives unpack."""
    put("ConceptsList/Concepts81.txt", "\n".join(CONCEPTS) + "\n")
    put("ImageList/TrainImagelist.txt", "actor\\0001_2124494179.jpg\nzoo\\2_1.jpg\nzoo\\3_1.jpg\n")
    put("ImageList/TestImagelist.txt", "actor\\0002_174174086.jpg\r\nzoo\\4_1.jpg\r\n")
    for concept, train, test in zip(
        CONCEPTS, ("100", "110", "000"), ("01", "00", "01"), strict=True
    ):
        put(f"Groundtruth/TrainTestLabels/Labels_{concept}_Train.txt", "\n".join(train) + "\n")
        put(f"Groundtruth/TrainTestLabels/Labels_{concept}_Test.txt", " \n".join(test) + " \n")
    return tmp_path


def test_lists_and_columns(nus: Path, read_all) -> None:
    reading = read_all(NUS_WIDE_READER, nus)
    assert reading.states == {
        ("train", "actor/0001_2124494179.jpg"): ({"airport", "animal"}, set()),
        ("train", "zoo/2_1.jpg"): ({"animal"}, set()),
        ("train", "zoo/3_1.jpg"): (set(), set()),
        ("test", "actor/0002_174174086.jpg"): (set(), set()),
        ("test", "zoo/4_1.jpg"): ({"airport", "beach"}, set()),
    }
    assert reading.source.classes == CONCEPTS
    assert reading.source.image_root == nus
    assert NUS_WIDE_READER.detect(nus) == "ConceptsList/Concepts81.txt"


def test_images_are_in_flickr_or_where_the_user_says(nus: Path, read_all) -> None:
    assert read_all(NUS_WIDE_READER, nus, nus / "x").source.image_root == nus / "x"
    (nus / "Flickr").mkdir()
    assert read_all(NUS_WIDE_READER, nus).source.image_root == nus / "Flickr"


def test_the_columns_may_lie_beside_the_lists(nus: Path, read_all) -> None:
    before = read_all(NUS_WIDE_READER, nus).states
    (nus / "Groundtruth/TrainTestLabels").rename(nus / "TrainTestLabels")
    (nus / "Groundtruth").rmdir()
    assert read_all(NUS_WIDE_READER, nus).states == before


def test_all_labels_serve_where_there_are_no_splits(put, nus: Path, read_all) -> None:
    for file in (nus / "Groundtruth/TrainTestLabels").iterdir():
        file.unlink()
    (nus / "Groundtruth/TrainTestLabels").rmdir()
    put("ImageList/Imagelist.txt", "zoo\\1.jpg\nzoo\\2.jpg\n")
    for concept in CONCEPTS:
        put(f"Groundtruth/AllLabels/Labels_{concept}.txt", "1\n0\n")
    reading = read_all(NUS_WIDE_READER, nus)
    assert reading.states == {
        ("", "zoo/1.jpg"): (set(CONCEPTS), set()),
        ("", "zoo/2.jpg"): (set(), set()),
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "Groundtruth/TrainTestLabels/Labels_beach_Train.txt",
            "0\n1\n",
            "has 2 states for the 3 images",
        ),
        ("Groundtruth/TrainTestLabels/Labels_beach_Train.txt", "0\n1\n2\n", "has '2' where 0 or 1"),
        ("Groundtruth/TrainTestLabels/Labels_beach_Train.txt", None, "cannot be read"),
        ("ConceptsList/Concepts81.txt", None, "no such file"),
    ],
)
def test_faults_are_named(nus: Path, put, read_all, name: str, content, message: str) -> None:
    (nus / name).unlink() if content is None else put(name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_all(NUS_WIDE_READER, nus)
    assert name in caught.value.message


def test_a_folder_without_lists_is_refused(put, tmp_path: Path, read_all) -> None:
    put("ConceptsList/Concepts81.txt", "a\n")
    with pytest.raises(DataError, match="has neither ImageList"):
        read_all(NUS_WIDE_READER, tmp_path)


def test_the_table_of_asl(put, read_all) -> None:
    file = put(
        "nus_wid_data.csv",
        "filepath,label,split_name\nimages/a.jpg,\"['fog', 'sky']\",train\nimages/b.jpg,[],val\n",
    )
    assert read_all(NUS_WIDE_READER, file).states == {
        ("train", "images/a.jpg"): ({"fog", "sky"}, set()),
        ("val", "images/b.jpg"): (set(), set()),
    }


@pytest.mark.parametrize(
    "name",
    ["ConceptsList/Concepts81.txt", "ImageList/TrainImagelist.txt",
     "Groundtruth/TrainTestLabels/Labels_beach_Test.txt"],
)  # fmt: skip
def test_any_damage_ends_in_a_message(nus: Path, name: str, damaged_outcomes) -> None:
    assert "refused" in damaged_outcomes(NUS_WIDE_READER, nus, nus / name)
