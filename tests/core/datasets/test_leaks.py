"""Columns that tell groups, and the splits that share some."""

import pytest

from mlc_cli.core.datasets.leaks import leaks_by_column, tells_groups


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
    columns = {
        "patient": {"train": ["a", "b", "b", "c"], "val": ["b", "d", ""]},
        "scene": {"train": ["in", "out"], "val": ["out"]},  # two kinds of images, and no groups
        "site": {"train": ["x", "y", "z"], "val": ["x"]},
    }
    (leak,) = leaks_by_column(columns, "")
    assert leak.groups == ["b: 2 in train, 1 in val"]
    assert leak.flag == "--group-column patient"
    assert [leak.flag for leak in leaks_by_column(columns, "scene")] == [
        "--group-column patient",
        "--group-column scene",
    ]
    assert leaks_by_column({"patient": {"train": ["a", "b", "c"], "val": ["d"]}}, "patient") == []
