"""What a search for settings found, as plain values, as a preset and as a page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.svg import scatter
from mlc_cli.core.system.files import write_text
from mlc_cli.core.training.range_test import steepest
from mlc_cli.text import some

Found = dict[str, Any]


def trials_of(study: Any, *states: str) -> list[Any]:
    """Trials in one of these states."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in states]


def values_of(trial: Any) -> dict[str, str]:
    """The texts that it was trained with, by key of the setting."""
    return dict(trial.user_attrs.get("values", {}))


def write_found(
    folder: Path,
    start: tuple[str, int],
    to_yaml: Callable[[Mapping[str, str]], str],
    study: Any,
    confirmed: Mapping[str, Mapping[str, float]],
) -> Found:
    """Write preset and page of a study that has a best trial; all of it as `tune` returns it.

    Args:
        folder: For both.
        start: Name and seed of the starting point.
        to_yaml: From values of the search to a preset.
        study: The study of Optuna.
        confirmed: mAP of the starting point and of the best on further seeds.
    """
    best, better = study.best_trial, False
    verdict = "Nothing that was tried is better than the starting point."
    if confirmed:
        old, new = confirmed.values()
        better = all(old[seed] < new[seed] for seed in old)
        pairs = ", ".join(f"{seed}: {new[seed]:.4f} against {old[seed]:.4f}" for seed in old)
        verdict = f"{'Better' if better else 'Not better'} than the starting point ({pairs})."
    found: Found = {
        "best": {"trial": best.number, "mAP": best.value, "seed": start[1], **values_of(best)},
        "confirmed": confirmed,
        "better": better,
        "verdict": verdict,
        "trials": _rows(study),
        "preset": str(folder / "best.yaml"),
        "page": str(folder / "tune.html"),
    }
    said = f"# {verdict}\n# mlc train --config {found['preset']}\n"
    write_text(folder / "best.yaml", said + to_yaml(values_of(best)))
    write_page(
        folder / "tune.html",
        "html/tables.html",
        title=f"Search for {some([*values_of(best)])}",
        about=f"{len(found['trials'])} trials, from {start[0]}",
        explained=f"{verdict} Numbers are validation mAPs, of a stopped trial its last.",
        tiles="",
        charts=_charts(study),
        tables=tables(found),
    )
    return found


def tables(found: Mapping[str, Any]) -> list[tuple[str, Sequence[str], list[list[str]], int]]:
    """What `tune` found, for terminal and page: title, heads, rows, columns of text."""
    seeds = [*next(iter(found["confirmed"].values()), {})]
    rows = [[name, *(f"{one[seed]:.4f}" for seed in seeds)]
            for name, one in found["confirmed"].items()]  # fmt: skip
    return [
        ("Trials", [*found["trials"][0]], [[*row.values()] for row in found["trials"]], 1),
        ("On further seeds", ["settings", *seeds], rows, 1),
    ]


def _rows(study: Any) -> list[dict[str, str]]:
    """A row for each trial, the best first."""
    states = {"COMPLETE": "done", "PRUNED": "stopped", "FAIL": "lost, queued again"}
    keys = [*values_of(study.best_trial)]
    trials = study.get_trials(deepcopy=False)
    return [
        {
            "trial": str(trial.number),
            **{key: values_of(trial).get(key, "") for key in keys},
            "mAP": f"{trial.value:.4f}" if trial.value is not None else "-",
            "epochs": str(max(trial.intermediate_values, default="-")),
            "state": trial.user_attrs.get("failed", states.get(trial.state.name, "to be done")),
            "run": Path(trial.user_attrs.get("run", "-")).name,
        }
        for trial in sorted(trials, key=lambda t: (t.state.name != "COMPLETE", -(t.value or 0)))
    ]


def _charts(study: Any) -> dict[str, Markup]:
    done = trials_of(study, "COMPLETE")
    dots = [(t.number, t.value, f"trial {t.number}: {t.value:.4f}") for t in done]
    best = [(number, max(y for _, y, _ in dots[: k + 1])) for k, (number, _, _) in enumerate(dots)]
    drawn = {"mAP of each trial, and the best so far": scatter("mAP of each trial", dots, best)}
    for key, kind in study.best_trial.distributions.items():
        if hasattr(kind, "log"):
            across = [(t.params[key], *dot[1:]) for t, dot in zip(done, dots, strict=True)]
            drawn[f"mAP over {key}"] = scatter(f"mAP over {key}", across, log=kind.log)
    return drawn


def write_rates(page: Path, about: str, lr: float, points: list[tuple[float, float]]) -> Found:
    """Write the page of a learning-rate range test; the rates as plain values for JSON."""
    rates = {
        "steepest": steepest(points),
        "lowest": min(points, key=lambda point: point[1])[0],
        "settings": lr,
    }
    rows, title = [[name, f"{rate:.1e}"] for name, rate in rates.items()], "Loss over learning rate"
    write_page(
        page,
        "html/tables.html",
        title="Learning-rate range test",
        about=about,
        explained="The learning rate grows from step to step; the loss is a moving mean. A good"
        " peak is near its steepest fall (marked), well below where it is lowest.",
        tiles="",
        charts={title: scatter(title, [], points, log=True, marks=[rates["steepest"]])},
        tables=[("Learning rates", ("of", "learning rate"), rows, 1)],
    )
    return {**rates, "points": points, "page": str(page)}
