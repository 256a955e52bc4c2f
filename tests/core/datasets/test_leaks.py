"""Columns that tell groups, and the splits that share some."""

import pytest

from mlc_cli.core.datasets.leaks import find_leaks, tells_groups


@pytest.mark.parametrize(
    "name",
    ["patient", "patient_id", "PatientID", "Patient ID", "video", "videoname", "subject-no", "Clip",
     "study_id", "lesion_id", "patients", "my_video_2"],
)  # fmt: skip
def test_columns_that_are_called_after_groups(name: str) -> None:
    assert tells_groups(name)


@pytest.mark.parametrize("name", ["age", "impatient", "videogame", "index", "casement", "id", ""])
def test_other_columns(name: str) -> None:
    assert not tells_groups(name)


def test_groups_in_several_splits_with_their_images() -> None:
    cells = {
        "train": [
            {"patient": p, "scene": s, "site": t} for p, s, t in ("aix", "boy", "biz", "cox")
        ],
        "val": [{"patient": "b", "scene": "o", "site": "x"}, {"patient": "d"}, {"patient": ""}],
    }
    paths = {split: [f"video{n}/1.jpg" for n in range(4)] for split in cells}
    (leak,) = find_leaks(paths, cells, "")  # of scenes there are two kinds, and no groups
    assert leak.groups == ["b: 2 in train, 1 in val"]
    assert leak.flag == "--group-column patient"
    flags = [leak.flag for leak in find_leaks(paths, cells, "scene")]
    assert flags == ["--group-column patient", "--group-column scene"]

    apart = {"train": [{"patient": name} for name in "abc"], "val": [{"patient": "d"}]}
    assert find_leaks(paths, apart, "patient", by_name=False) == []
    assert [len(leak.groups) for leak in find_leaks(paths, apart, "")] == [4]
