"""CelebA attributes."""

import pytest

from mlc_cli.core.datasets.formats.build import readers
from mlc_cli.core.datasets.formats.celeba import CELEBA_READER
from mlc_cli.errors import DataError
from mlc_cli.settings.convert import ConvertSettings

ATTRIBUTES = """3
5_o_Clock_Shadow Bald Smiling \n000001.jpg -1  1  1
000002.jpg -1 -1 -1
000003.jpg  1 -1  1
"""


def test_minus_one_is_absent(put, read_all) -> None:
    file = put("list_attr_celeba.txt", ATTRIBUTES)
    reading = read_all(CELEBA_READER, file)
    assert reading.states == {
        ("", "000001.jpg"): ({"Bald", "Smiling"}, set()),
        ("", "000002.jpg"): (set(), set()),
        ("", "000003.jpg"): ({"5_o_Clock_Shadow", "Smiling"}, set()),
    }
    assert reading.source.classes == ["5_o_Clock_Shadow", "Bald", "Smiling"]
    assert not reading.dropped.counts
    assert CELEBA_READER.detect(file) == "names of attributes in list_attr_celeba.txt"


@pytest.mark.parametrize("folders", [("", "", ""), ("Anno/", "Eval/", "Img/")])
def test_splits_and_images_where_the_archives_put_them(put, read_all, tmp_path, folders) -> None:
    anno, evaluation, images = folders
    file = put(f"{anno}list_attr_celeba.txt", ATTRIBUTES)
    put(
        f"{evaluation}list_eval_partition.txt",
        "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\nx.jpg 7\n",
    )
    put(f"{images}img_align_celeba/000001.jpg")
    for place in (tmp_path, file):
        reading = read_all(CELEBA_READER, place)
        assert [split for split, _ in reading.states] == ["train", "val", "test"]
        assert reading.source.image_root == tmp_path / f"{images}img_align_celeba"
        assert list(reading.dropped.counts.values()) == [1]


def test_lines_that_are_cut_or_missing_are_counted(put, read_all) -> None:
    file = put("a.txt", "9\nBald Smiling\n1.jpg 1 1\n2.jpg 1\n3.jpg 1 0\n4.jpg 1 1 1\n")
    reading = read_all(CELEBA_READER, file)
    assert set(reading.labels) == {"1.jpg"}
    assert list(reading.dropped.counts.values()) == [3, 5]


@pytest.mark.parametrize(
    "content", ["", "3\n", "x\nBald\n", "3\nBald Bald\n", "9" * 5000 + "\nBald\n"]
)
def test_other_files_are_refused(put, read_all, content: str) -> None:
    file = put("list_attr_celeba.txt", content)
    assert CELEBA_READER.detect(file) is None
    with pytest.raises(DataError, match="list_attr_celeba"):
        read_all(CELEBA_READER, file)


def test_columns_of_0_and_1_are_not_taken_for_it(put) -> None:
    assert CELEBA_READER.detect(put("Labels_sky_Train.txt", "0\n1\n0\n0\n")) is None


def test_any_damage_ends_in_a_message(put, damaged_outcomes) -> None:
    file = put("list_attr_celeba.txt", ATTRIBUTES)
    assert damaged_outcomes(CELEBA_READER, file, file) == {"read", "refused"}


def test_kaggles_tables_are_read_with_their_splits(put, read_all) -> None:
    put("c/list_attr_celeba.csv", "image_id,Bald,Young\n1.jpg,1,-1\n2.jpg,-1,1\n3.jpg,-1,-1\n")
    folder = put("c/list_eval_partition.csv", "image_id,partition\n1.jpg,0\n2.jpg,1\n3.jpg,2\n")
    assert [
        reader.name
        for reader in readers(ConvertSettings(source="x", dest="y"))
        if reader.detect(folder.parent)
    ] == ["celeba"]
    assert read_all(CELEBA_READER, folder.parent).states == {
        ("train", "1.jpg"): ({"Bald"}, set()),
        ("val", "2.jpg"): ({"Young"}, set()),
        ("test", "3.jpg"): (set(), set()),
    }
