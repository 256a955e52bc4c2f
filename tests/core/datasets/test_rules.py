"""Label rules: reading, decisions that keep them, and what follows from them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlc_cli.core.datasets.annotations import read_annotation
from mlc_cli.core.datasets.completing import completed
from mlc_cli.core.datasets.rules import BoundRules, Rules
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.results import evaluate
from mlc_cli.core.evaluation.thresholds import fit_thresholds
from mlc_cli.core.exporting.rule_graph import RuleMargins
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import DataError

CLASSES = ["animal", "animal / cat", "animal / dog", "day", "night", "puppy"]
SOME = Rules({"animal / cat": ["animal"], "animal / dog": ["animal"], "puppy": ["animal / dog"]},
             [["animal / cat", "animal / dog"], ["day", "night"]])  # fmt: skip


def write(folder: Path, rules: object = None, images: object = None) -> Path:
    content = {"classes": CLASSES, "images": images or [["a.jpg", ["day"]]]}
    path = folder / "train.json"
    path.write_text(json.dumps(content | ({} if rules is None else {"rules": rules})))
    return path


def draw(rng: np.random.Generator) -> tuple[Rules, list[str]] | None:
    """Random rules, parents at any place of the alphabet; `None` if they contradict themselves."""
    classes = [f"c{n:02}" for n in range(int(rng.integers(2, 12)))]
    order = rng.permutation(classes).tolist()
    implies = {
        name: rng.choice(order[:place], min(place, int(rng.integers(1, 3))), replace=False).tolist()
        for place, name in enumerate(order) if place and rng.random() < 0.5
    }  # fmt: skip
    groups = [
        rng.choice(classes, min(len(classes), int(rng.integers(2, 5))), replace=False).tolist()
        for _ in range(int(rng.integers(0, 4)))
    ]
    rules = Rules(implies, groups)
    try:
        BoundRules(rules, classes)
    except ValueError:
        return None
    return rules, classes


def violations(rules: Rules, classes: list[str], decided_NC: np.ndarray) -> int:
    """Broken rules, literally."""
    count = 0
    for decided_C in decided_NC:
        present = {name for name, there in zip(classes, decided_C, strict=True) if there}
        count += sum(not set(own) <= present for c, own in rules.implies.items() if c in present)
        count += sum(len(present & set(group)) > 1 for group in rules.exclusive)
    return count


def test_no_decision_of_a_thousand_random_rule_sets_breaks_a_rule() -> None:
    rng, seen, broken_before = np.random.default_rng(0), 0, 0
    while seen < 1000:
        drawn = draw(rng)
        if drawn is None:
            continue
        rules, classes = drawn
        seen += 1
        bound, shape = BoundRules(rules, classes), (20, len(classes))
        logits_NC = (rng.normal(size=shape) * rng.choice([0.1, 3])).astype(np.float32)
        logits_NC = logits_NC.round(int(rng.integers(0, 8)))  # ties
        scores_NC = 1 / (1 + np.exp(-logits_NC.astype(np.float64)))
        thresholds_C = rng.choice([rng.random(len(classes)), np.full(len(classes), 0.5)])
        lower_C = thresholds_C * rng.random(len(classes))
        decided_NC = bound.decide(scores_NC, thresholds_C)
        assert violations(rules, classes, decided_NC) == 0
        assert violations(rules, classes, bound.decide(scores_NC, lower_C)) == 0
        assert not (decided_NC & ~bound.decide(scores_NC, lower_C)).any()
        assert not bound.breaks(decided_NC.astype(np.int8)).any()
        broken_before += violations(rules, classes, scores_NC >= thresholds_C)
        card = ModelCard(classes, {}, (8, 8), (0.5,) * 3, (0.5,) * 3, 1.0, rules=rules,
                         thresholds=thresholds_C.tolist())  # fmt: skip
        margins = RuleMargins(card)
        margins_NC = margins(torch.from_numpy(logits_NC))
        written_NC = (margins_NC + margins.thresholds_C).numpy()
        near_NC = np.abs(scores_NC - thresholds_C) < 1e-5
        for in_graph_NC in (margins_NC.numpy() >= 0, written_NC >= margins.thresholds_C.numpy()):
            assert violations(rules, classes, in_graph_NC) == 0
            if not near_NC.any():
                np.testing.assert_array_equal(in_graph_NC, decided_NC)
        folded = BoundRules(replace(rules, folded=True), classes)
        again_NC = folded.decide(written_NC, margins.thresholds_C.numpy())
        assert violations(rules, classes, again_NC) == 0
        np.testing.assert_array_equal(again_NC, written_NC >= margins.thresholds_C.numpy())
    assert broken_before > 1000


def test_rules_are_read_from_the_file_its_names_and_the_yaml_beside_it(tmp_path: Path) -> None:
    source = write(tmp_path, {"separator": " / ", "exclusive": [["day", "night"]]})
    (tmp_path / "rules.yaml").write_text("implies: {puppy: animal / dog}\n")
    rules = read_annotation(source).rules
    assert rules == Rules({"animal / cat": ["animal"], "animal / dog": ["animal"],
                           "puppy": ["animal / dog"]}, [["day", "night"]])  # fmt: skip


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, {})
    (tmp_path / "rules.yaml").write_text("implies:\n  puppy: animal\n  puppy: day\n")
    with pytest.raises(DataError, match="a key is there twice"):
        read_annotation(source)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"implies": {"day": ["night"], "night": ["day"]}}, "day implies night implies day: a cir"),
        ({"implies": {"day": "day"}}, "day implies day: a circle"),
        ({"implies": {"dy": ["night"]}}, "there is no class dy, did you mean 'day'"),
        ({"exclusive": [["day"]]}, "expected two classes or more"),
        ({"exclusive": [["day", "day"]]}, "expected two classes or more"),
        ({"separator": " / ", "exclusive": [["animal", "animal / dog"]]}, "can never be present"),
        ({"implies": {"puppy": ["day", "night"]}, "exclusive": [["day", "night"]]}, "never be"),
        ({"excludes": []}, "label rules: excludes: there is no such key, but implies"),
        ({"implies": {"day": [1.5]}}, "label rules: implies: day: 0: Input should be"),
        ([], ""),
        ("x", "label rules: expected these keys: implies"),
    ],
)
def test_contradictory_rules_are_refused(tmp_path: Path, rules: object, words: str) -> None:
    if not words:
        assert not read_annotation(write(tmp_path, rules)).rules
        return
    with pytest.raises(DataError) as caught:
        read_annotation(write(tmp_path, rules))
    assert words in caught.value.message
    assert "train.json" in caught.value.message


def test_what_follows_is_completed(tmp_path: Path) -> None:
    images = [["a.jpg", ["puppy"], ["animal / cat", "day"]], ["b.jpg", ["night"], ["day", "puppy"]],
              ["c.jpg", ["day", "night"]]]  # fmt: skip
    source = write(tmp_path, SOME.written(), images)
    full = completed(read_annotation(source))
    assert full.targets_NC(range(3)).tolist() == [
        [1, 0, 1, -1, 0, 1],  # the cat is excluded by the dog that the puppy is
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1, 0],  # nobody knows which of the two is wrong
    ]
    bound = BoundRules(SOME, CLASSES)
    assert bound.breaks(full.targets_NC(range(3))).tolist() == [False, False, True]


def test_classes_that_change_take_their_rules_along() -> None:
    kept = {name: name for name in CLASSES} | {"animal / dog": None, "day": "light"}
    assert SOME.renamed(kept) == Rules(
        {"animal / cat": ["animal"], "puppy": ["animal"]}, [["light", "night"]]
    )


@pytest.mark.parametrize("seed", range(3))
def test_floors_are_tested_on_decisions_that_keep_the_rules(seed: int) -> None:
    """Drawn anew, promised floors are missed about as often as the error allows, or less."""
    missed = promised = 0
    for draw_number in range(60):
        rng = np.random.default_rng((seed, draw_number))
        bound = BoundRules(SOME, CLASSES)
        scores_NC, targets_NC = sample(rng, 8600, bound)
        rows, rest = slice(600), slice(600, None)
        found = fit_thresholds(
            scores_NC[rows], targets_NC[rows], Objective.parse("recall>=0.7@95%"), 5, bound
        )
        decided_NC = bound.decide(scores_NC[rest], found.per_class_C)
        for c in set(range(6)) - set(found.unpromised):
            promised += 1
            missed += (decided_NC[:, c] & (targets_NC[rest, c] == 1)).sum() < 0.7 * (
                targets_NC[rest, c] == 1
            ).sum()
    assert promised > 100
    assert missed / promised <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / promised)


def sample(
    rng: np.random.Generator, images: int, bound: BoundRules
) -> tuple[np.ndarray, np.ndarray]:
    """Labels that keep the rules, and noisy scores of them."""
    raw_NC = rng.random((images, 6))
    targets_NC = bound.decide(raw_NC, [0.3, 0.5, 0.4, 0.5, 0.5, 0.5]).astype(np.int8)
    logits_NC = 5.0 * targets_NC - 2.5 + rng.normal(size=targets_NC.shape)
    return 1 / (1 + np.exp(-logits_NC)), targets_NC


def test_an_evaluation_keeps_the_rules_and_says_what_they_bring() -> None:
    bound = BoundRules(SOME, CLASSES)
    scores_NC, targets_NC = sample(np.random.default_rng(0), 500, bound)
    found = evaluate(scores_NC, targets_NC, CLASSES, rules=SOME)
    free = evaluate(scores_NC, targets_NC, CLASSES)
    assert found.rules
    assert free.rules is None
    assert found.mean_ap == free.mean_ap
    assert found.rules.OF1_without == free.decided.OF1
    assert found.rules.hierarchical_F1 == found.decided.OF1  # the data keep the rules
    reached_NC = scores_NC >= 0.5
    kept = [violations(SOME, CLASSES, row[None]) == 0 for row in reached_NC]
    assert found.rules.consistency == pytest.approx(np.mean(kept))
    assert found.rules.data_consistency == 1
