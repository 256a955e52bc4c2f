from pathlib import Path

import numpy as np
import pytest

from mlc_cli.core.datasets import digits
from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.checks import check_images, check_leak, check_same_classes
from mlc_cli.core.datasets.digits import make_digits
from mlc_cli.core.images.decode import read_image
from mlc_cli.errors import MlcError


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the images: the composition is the same."""
    small = {name: (max(images // 30, 1), part) for name, (images, part) in digits.SPLITS.items()}
    monkeypatch.setattr(digits, "SPLITS", small)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_digits(tmp_path / name, seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_splits_pass_all_checks(tmp_path: Path) -> None:
    make_digits(tmp_path / "deep" / "set")
    splits = [
        read_annotation(tmp_path / "deep" / "set" / f"{split}.json")
        for split in ("train", "val", "test")
    ]
    assert [len(split) for split in splits] == [80, 20, 20]
    for split in splits:
        assert split.classes == tuple("0123456789")
        check_images(split, allow_outside=False)
        check_same_classes(splits[0], split)
    check_leak(splits[0], splits[1])
    assert read_image(splits[0].path(0)).shape == (64, 64, 3)


def test_images_have_none_to_four_labels(tmp_path: Path) -> None:
    make_digits(tmp_path / "set")
    train = read_annotation(tmp_path / "set" / "train.json")
    assert set(train.positives.sizes_N().tolist()) == {0, 1, 2, 3, 4}
    assert (train.positives.counts_C(10) > 0).all()


def test_no_handwritten_digit_is_in_two_splits() -> None:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second

    parts = digits._glyphs(np.random.default_rng(0))
    assert [len(values) for _, values in parts] == [1257, 270, 270]
    divided = [{glyph.tobytes() for glyph in pictures} for pictures, _ in parts]
    assert not divided[0] & divided[1]
    assert not divided[0] & divided[2]
    assert not divided[1] & divided[2]
    known = {image.tobytes(): value for image, value in zip(*load_digits(return_X_y=True))}  # noqa: B905
    for pictures, values in parts:
        for picture, value in zip(pictures, values, strict=True):
            assert known[(picture.astype(float) * 16).tobytes()] == value


def test_nothing_is_left_behind_by_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MlcError("no space")

    monkeypatch.setattr(digits, "write_json", fail)
    with pytest.raises(MlcError, match="no space"):
        make_digits(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(MlcError, match=r"set: cannot be made: No space left on device"):
        make_digits(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MlcError, match="cannot be made"):
        make_digits(tmp_path / "file" / "set")


def test_files_are_readable_by_others(tmp_path: Path) -> None:
    make_digits(tmp_path / "set")
    assert (tmp_path / "set").stat().st_mode & 0o777 == 0o755
