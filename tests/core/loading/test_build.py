import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.loading.augment import RandomResizedCrop, Torchvision, cutout, flip
from mlc_cli.core.loading.build import (
    build_augment,
    build_eval_batches,
    build_mix,
    build_train_batches,
    make_if_missing,
    read_splits,
)
from mlc_cli.core.loading.mixing import Cutmix, Mixup
from mlc_cli.core.loading.rand_augment import pair_rand_augment
from mlc_cli.errors import DataError
from mlc_cli.settings.augment import (
    LEVELS,
    AugmentSettings,
    CutmixSettings,
    MixupSettings,
)
from mlc_cli.settings.data import DataSettings

CPU = torch.device("cpu")


def settings(root: Path, **changes: object) -> DataSettings:
    return DataSettings.model_validate(
        {"root": str(root), "workers": 0, "input_size": [32, 48], **changes}
    )


def test_both_splits_are_read_and_checked(make_dataset: Callable[..., Path]) -> None:
    splits = read_splits(settings(make_dataset(24, 12)))
    assert (len(splits.train), len(splits.val)) == (24, 12)
    assert splits.warnings == ()


def test_missing_images_stop_the_reading(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset()
    (root / "images" / "val" / "003.png").unlink()
    with pytest.raises(DataError, match=r"val\.json: 1 of 12 images: file is missing"):
        read_splits(settings(root))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("states", [[[]], [[], ["red", "green", "blue"]]])
def test_a_split_without_any_label_is_refused(
    make_dataset: Callable[..., Path], split: str, states: list[list[str]]
) -> None:
    file = make_dataset() / f"{split}.json"
    content = json.loads(file.read_text())
    content["images"] = [[path, *states] for path, *_ in content["images"]]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"{split}\.json: no image has a label"):
        read_splits(settings(file.parent))


def test_leak_is_an_error_or_a_warning(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset()
    with pytest.raises(DataError, match="24 of 24 images"):
        read_splits(settings(root, val="train.json"))
    (warning,) = read_splits(settings(root, val="train.json", on_leak="warn")).warnings
    assert "24 of 24 images" in warning


def test_older_files_make_later_classes_unknown(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset(24, 12)
    content = json.loads((root / "train.json").read_text())
    first, *others = content["classes"]
    kept = [[path, [n for n in names if n != first]] for path, names in content["images"][:9]]
    (root / "then.json").write_text(json.dumps({"classes": others, "images": kept}))
    splits = read_splits(settings(root, unknown_in=[str(root / "then.json")]))
    absent = sum(first not in names for _, names in content["images"][:9])
    assert splits.train.unknown_C().tolist() == [absent] + [0] * len(others)
    assert not splits.val.unknown_C().any()
    (root / "then.json").write_text(json.dumps(content | {"images": [["x.png", []]]}))
    with pytest.raises(DataError, match=r"then\.json lists none of the images, or has all"):
        read_splits(settings(root, unknown_in=[str(root / "then.json")]))


def test_label_rules_of_settings_join_those_of_the_file(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset()
    for name in ("train", "val"):
        content = json.loads((root / f"{name}.json").read_text())
        content |= {"classes": [*content["classes"], "red / dark"],
                    "rules": {"implies": {"blue": ["green"]}}}  # fmt: skip
        (root / f"{name}.json").write_text(json.dumps(content))
    rules = {"implies": {"blue": "red"}, "exclusive": [["green", "red / dark"]], "separator": " / "}
    same = {**rules, "implies": [["blue", "red"]]}
    assert settings(root, rules=rules) == settings(root, rules=same)
    found = read_splits(settings(root, rules=rules))
    for split in (found.train, found.val):
        assert split.rules.implies == {"blue": ["green", "red"], "red / dark": ["red"]}
        assert split.rules.exclusive == [["green", "red / dark"]]
    for wrong in ({"implies": {"green": "blue"}}, {"implies": {"green": "pink"}}):
        with pytest.raises(DataError, match="the settings: label rules"):
            read_splits(settings(root, rules=wrong))


def test_image_root_replaces_the_folder_of_the_file(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset()
    (root / "images").rename(root.parent / "images")
    splits = read_splits(settings(root, image_root=str(root.parent)))
    assert splits.train.path(0).is_file()


def test_digits_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"train": (20, 0.7), "val": (10, 0.15), "test": (10, 0.15)}
    monkeypatch.setattr("mlc_cli.core.datasets.digits.SPLITS", small)
    wanted = settings(tmp_path / "digits", generate="digits")
    assert len(read_splits(wanted).train) == 20
    before = (tmp_path / "digits" / "train.json").stat().st_mtime_ns
    read_splits(wanted)
    assert (tmp_path / "digits" / "train.json").stat().st_mtime_ns == before


def test_augmentations_come_in_their_order() -> None:
    wanted = AugmentSettings.model_validate(
        {
            "crop": {"scale_min": 0.25},
            "rand_augment": {"name": "torchvision"},
            "cutout": {"fill": [1, 2, 3]},
            "flip": 0.5,
        }
    )
    built = build_augment(wanted, (32, 48))
    crop, policy, cut, mirror = built.transforms
    assert isinstance(crop, RandomResizedCrop)
    assert isinstance(policy.change, Torchvision)
    assert (cut.change.func, cut.change.keywords["fill"]) == (cutout, (1, 2, 3))
    assert (mirror.p, mirror.change) == (0.5, flip)
    assert built.load_size == (64, 96)


@pytest.mark.parametrize("most", [1.0, 2.0])
def test_crops_are_stretched_as_far_as_the_setting_says(most: float) -> None:
    """Pixels that say where they are tell the part that was cut out."""
    crop = {"scale_min": 0.25, "ratio_max": most, "p": 1.0}
    built = build_augment(AugmentSettings.model_validate({"crop": crop, "flip": 0}), (200, 200))
    rows, columns = np.mgrid[:200, :200].astype(np.uint8)
    places = np.dstack([rows, columns, np.zeros_like(rows)])
    stretches = []
    for seed in range(200):
        cut = built(places, np.random.default_rng(seed)).astype(int)
        height, width = np.ptp(cut[..., 0]) + 1, np.ptp(cut[..., 1]) + 1
        stretches.append(max(width / height, height / width))
    assert max(stretches) == pytest.approx(most, rel=0.05)


def test_what_is_off_is_left_out() -> None:
    assert build_augment(AugmentSettings(flip=0), (32, 48)).transforms == ()
    pair = AugmentSettings.model_validate({"rand_augment": {"name": "pair"}, "flip": 0})
    assert build_augment(pair, (32, 48)).transforms == (pair_rand_augment,)


def test_mixes_are_built() -> None:
    assert build_mix(MixupSettings(alpha=0.3, p=0.5)) == Mixup(0.3, 0.5)
    assert build_mix(CutmixSettings(alpha=0.7, p=0.2)) == Cutmix(0.7, 0.2)


def train_pixels(split: Annotation, data: DataSettings, augment: AugmentSettings) -> np.ndarray:
    batches = build_train_batches(data, augment, split, batch_size=5, seed=1, device=CPU)
    return np.concatenate(
        [batch.images_NHWC for epoch in range(2) for batch in batches.epoch(epoch)]
    )


@pytest.mark.parametrize("crop", [None, {"scale_min": 0.3}])
def test_cache_changes_no_pixel_of_a_training(
    make_dataset: Callable[..., Path], crop: dict[str, float] | None
) -> None:
    root = make_dataset(13)
    augment = AugmentSettings.model_validate({"crop": crop, "cutout": {}})
    split = read_splits(settings(root)).train
    plain, cached = (
        train_pixels(split, settings(root, cache=cache), augment) for cache in ("none", "ram")
    )
    assert plain.shape == (20, 32, 48, 3)  # the last batch, not full, is left out
    np.testing.assert_array_equal(plain, cached)


def test_evaluation_takes_all_images_unchanged(make_dataset: Callable[..., Path]) -> None:
    root = make_dataset(24, 7)
    wanted = settings(root)
    split = read_splits(wanted).val
    batches = build_eval_batches(wanted, split, batch_size=5, device=CPU)
    first, again = ([*batches.epoch(epoch)] for epoch in range(2))
    assert [batch.images_NHWC.shape for batch in first] == [(5, 32, 48, 3), (2, 32, 48, 3)]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.images_NHWC, other.images_NHWC)


def test_a_mistyped_folder_is_not_filled_with_digits(tmp_path: Path) -> None:
    (tmp_path / "my_photos").mkdir()
    with pytest.raises(DataError, match=r"did you mean .*my_photos"):
        make_if_missing(settings(tmp_path / "my_phtos", generate="digits"))
    assert not (tmp_path / "my_phtos").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_levels_change_images_as_the_generator_says(level: str) -> None:
    changes = build_augment(AugmentSettings.model_validate(LEVELS[level]), (32, 48))
    image = np.random.default_rng(0).integers(0, 256, (*changes.load_size, 3), np.uint8)
    image.flags.writeable = False
    made = [[changes(image, np.random.default_rng(seed)) for seed in range(30)] for _ in range(2)]
    np.testing.assert_array_equal(made[0], made[1])
    assert np.shape(made[0]) == (30, 32, 48, 3)
    assert len({one.tobytes() for one in made[0]}) == (
        1 if level == "none" else pytest.approx(30, abs=3)
    )


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("rotate", v2.RandomRotation),
        ("perspective", v2.RandomPerspective),
        ("blur", v2.GaussianBlur),
        ("colour", v2.ColorJitter),
        ("erase", v2.RandomErasing),
    ],
)
def test_each_part_of_the_augmentation_changes_what_it_says(part: str, kind: type) -> None:
    wanted = AugmentSettings.model_validate({part: {"p": 1.0}, "flip": 0})
    (transform,) = build_augment(wanted, (64, 64)).transforms
    assert isinstance(transform.change, Torchvision)
    assert isinstance(transform.change.transform, kind)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    changed = [transform(image, np.random.default_rng(seed)) for seed in range(9)]
    assert sum((one != image).any() for one in changed) >= 5


def test_grey_has_three_equal_channels() -> None:
    (transform,) = build_augment(AugmentSettings(grey=1.0, flip=0), (64, 64)).transforms
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    changed = transform(image, np.random.default_rng(1))
    luma = image @ [0.299, 0.587, 0.114]
    assert np.abs(changed - luma[..., None]).max() < 1.1


def photographs(side: int) -> Iterator[np.ndarray]:
    """With as much detail as those of cameras have: power falls with the square of frequency."""
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    rng = np.random.default_rng(0)
    for _ in range(4):
        noise = rng.normal(size=(3, *frequencies.shape)) + 1j * rng.normal(
            size=(3, *frequencies.shape)
        )
        made = np.fft.irfft2(noise / np.maximum(frequencies, 1 / side), (side, side))
        yield (128 + 50 * made / made.std()).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def sharpness(image: np.ndarray) -> float:
    return float(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F).std())


@pytest.mark.parametrize(("way", "most_apart"), [("linear", np.inf), ("area", 0.6)])
@pytest.mark.parametrize("side", [320, 1000])
def test_an_image_that_is_not_cropped_is_as_sharp_in_training_as_in_evaluation(
    way: str, most_apart: float, side: int
) -> None:
    crop = {"crop": {"scale_min": 0.5, "p": 0.0}, "flip": 0}
    changes = build_augment(AugmentSettings.model_validate(crop), (128, 128), way)
    evaluated = Geometry((128, 128), interpolation=way)
    for image in photographs(side):
        wanted = evaluated.fit(image)
        loaded = evaluated.at(changes.load_size).fit(image)
        seen = changes(loaded, np.random.default_rng(0))
        assert sharpness(seen) == pytest.approx(sharpness(wanted), rel=0.12)
        assert np.abs(seen - wanted.astype(int)).mean() < most_apart
