"""What label rules bring where the data keep them: OF1 of heads on frozen features of coco18.

    python tests/benchmarks/rules.py DATA WEIGHTS     # tf_efficientnet_lite0 at 160 px

Three classes are added, which follow from the others: animal, vehicle, and street vehicle, which
implies vehicle. Thresholds are chosen on the validation split, by what the rules leave and without
them; OF1 is that of the test split, its difference with the interval of the paired bootstrap.
"""

import sys
from pathlib import Path

import numpy as np
from timing import show
from unknown import fitted, logits

from mlc_cli.core.datasets.rules import FREE, BoundRules, Rules
from mlc_cli.core.evaluation.bootstrap import draw_weights, interval, resampled_decisions
from mlc_cli.core.evaluation.metrics import metrics_of_decisions
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.probabilities import sigmoid
from mlc_cli.core.evaluation.thresholds import fit_thresholds
from mlc_cli.settings.loss import BceSettings

SEEDS = 3
STREET = ["bicycle", "bus", "car", "motorcycle", "truck"]
RULES = Rules(
    {
        **{name: ["animal"] for name in ("bird", "cat", "dog", "horse")},
        **{name: ["vehicle"] for name in ("airplane", "boat", "train", "street vehicle")},
        **{name: ["street vehicle"] for name in STREET},
    }
)


def main(splits: dict, names: list[str]) -> None:
    classes = [*names, "animal", "street vehicle", "vehicle"]
    bound, data = BoundRules(RULES, classes), {}
    for split, (inputs, targets) in splits.items():
        wider = np.hstack([targets, np.zeros((len(targets), 3), np.int8)])
        data[split] = inputs, np.maximum(wider, bound.completed(wider))
        assert not bound.breaks(data[split][1]).any()
    rows = []
    for seed in range(SEEDS):
        head = fitted(data["train"], BceSettings(), seed)
        scores = {split: sigmoid(logits(head, data[split][0])) for split in ("val", "test")}
        made, targets = {}, data["test"][1]
        for title, rules in (("rules", bound), ("none", FREE)):
            found = fit_thresholds(scores["val"], data["val"][1], Objective.parse("f1"), 5, rules)
            made[title] = rules.decide(scores["test"], found.per_class_C)
        weights = draw_weights(len(targets), 1000, 0)
        drawn = {title: [m.OF1 for m in resampled_decisions(one, targets, weights)]
                 for title, one in made.items()}  # fmt: skip
        gain = interval(np.array(drawn["rules"]) - np.array(drawn["none"]))
        of1 = {title: metrics_of_decisions(one, targets).OF1 for title, one in made.items()}
        broken = bound.breaks(made["none"].astype(np.int8)).mean()
        assert not bound.breaks(made["rules"].astype(np.int8)).any()
        rows.append(
            (f"{seed}", f"{of1['rules']:.4f}", f"{of1['none']:.4f}",
             f"{of1['rules'] - of1['none']:+.4f}", f"{gain.low:+.4f} to {gain.high:+.4f}",
             f"{broken:.1%}")
        )  # fmt: skip
    titles = ("seed", "OF1 with rules", "without", "difference", "95 %", "images that break them")
    show(f"test split, {SEEDS} seeds", titles, rows)


if __name__ == "__main__":
    from unknown import features

    from mlc_cli.core.datasets.annotations import read_annotation

    main(features(*sys.argv[1:3]), read_annotation(Path(sys.argv[1], "val.json")).class_names)
