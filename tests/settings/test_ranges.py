"""The grammar of ranges."""

import math

import pytest

from mlc_cli.errors import UsageError
from mlc_cli.settings.ranges import Range, split_ranges
from mlc_cli.settings.train import TrainSettings


class Trial:
    """Takes the lower, the middle or the upper value, as Optuna would."""

    def __init__(self, part: float) -> None:
        self.part, self.asked = part, {}

    def suggest_float(self, key: str, low: float, high: float, *, log: bool) -> float:
        self.asked[key] = (low, high, log)
        if log:
            return math.exp(math.log(low) + self.part * (math.log(high) - math.log(low)))
        return low + self.part * (high - low)

    def suggest_int(self, key: str, low: int, high: int, *, log: bool) -> int:
        assert isinstance(low, int)
        return round(self.suggest_float(key, low, high, log=log))

    def suggest_categorical(self, key: str, choices: tuple[str, ...]) -> str:
        self.asked[key] = choices
        return choices[round(self.part * (len(choices) - 1))]


def only(text: str) -> Range:
    ranges, fixed = split_ranges(TrainSettings, [text])
    assert fixed == []
    (found,) = ranges
    return found


@pytest.mark.parametrize(
    ("text", "texts", "asked"),
    [
        ("optim.lr=log:1e-4..1e-2", ("0.0001", "0.001", "0.01"), (1e-4, 1e-2, True)),
        ("optim.lr = log:0.0001 .. .01", ("0.0001", "0.001", "0.01"), (1e-4, 1e-2, True)),
        ("optim.lr=1..3", ("1", "2", "3"), (1, 3, False)),
        ("epochs=3..7", ("3", "5", "7"), (3, 7, False)),
        ("batch_size=log:8..128", ("8", "32", "128"), (8, 128, True)),
        ("model.head.dropout=0.1..0.123456", ("0.1", "0.1117", "0.1235"), (0.1, 0.123456, False)),
        ("augment.flip=-1.5..2", ("-1.5", "0.25", "2"), (-1.5, 2, False)),
        ("loss.name=bce|asl|aam", ("bce", "asl", "aam"), ("bce", "asl", "aam")),
        ("ema=null | {decay: 0.9}", ("null", "null", "{decay: 0.9}"), ("null", "{decay: 0.9}")),
        ("loss.name=[bce, asl]", ("bce", "bce", "asl"), ("bce", "asl")),
        ("compile=[true, false]", ("true", "true", "false"), ("true", "false")),
        ("batch_size=[8, 16, 32]", ("8", "16", "32"), ("8", "16", "32")),
    ],
)
def test_a_range_is_what_it_says(text: str, texts: tuple[str, ...], asked: object) -> None:
    one = only(text)
    for part, expected in zip((0.0, 0.5, 1.0), texts, strict=True):
        trial = Trial(part)
        assert one.suggest(trial) == expected
        assert trial.asked == {one.key: asked}


@pytest.mark.parametrize(
    "text",
    ["optim.lr=0.1", "data.root=../photos", "data.input_size=[64, 96]", "optim.betas=[0.9, 0.99]",
     "data.root=a..b", "name=v1..2x", "data.train=train.json", "optim.lr"],
)  # fmt: skip
def test_what_is_no_range_stays(text: str) -> None:
    assert split_ranges(TrainSettings, [text]) == ([], [text])


def test_sizes_are_chosen_among_with_bars() -> None:
    assert only("data.input_size=64|96x128").values == ("64", "96x128")


@pytest.mark.parametrize(
    "text",
    ["optim.lr=1e-2..1e-4", "optim.lr=1..1", "optim.lr=log:0..1", "optim.lr=log:-1..1",
     "loss.name=bce|bce", "loss.name=bce|", "loss.name=[bce]", "loss.name=[]"],
)  # fmt: skip
def test_empty_ranges_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--set (optim.lr|loss.name)="):
        split_ranges(TrainSettings, [text])


def test_the_starting_point_has_a_place_only_inside() -> None:
    rate = only("optim.lr=log:1e-4..1e-2")
    assert (rate.place(1e-4), rate.place(0.003), rate.place(0.02), rate.place(None)) == (
        1e-4, 0.003, None, None)  # fmt: skip
    choice = only("batch_size=8|0x10|16")
    assert (choice.place(16), choice.place(8), choice.place(9)) == ("16", "8", None)
