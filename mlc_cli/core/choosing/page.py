"""`choose.html`: the front, all candidates and the recommendation."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mlc_cli.core.choosing.race import Candidate, Choice, front
from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.svg import Plot, round_ticks
from mlc_cli.core.html.words import span, value

HEADS = {
    "candidate": "timm's name, and height and width of the images",
    "mAP": "Of a linear head on frozen features: out of fold and on validation images",
    "95 %": "Interval of the mAP",
    "val mAP": "On the validation images alone",
    "ms": "One image, OpenVINO, fp32, this machine",
    "images/s": "Many at once",
    "INT8 ms": "One image, quantised to 8 bits",
    "INT8 images/s": "Many at once, quantised to 8 bits",
    "MB": "fp32 weights",
    "GMACs": "Work of one image",
    "licence": "Of the weights",
}


def write_choice(path: Path, choice: Choice, about: str) -> None:
    """Write the page.

    Raises:
        MlcError: It cannot be written.
    """
    candidates = choice.candidates
    left = [c for c in candidates if not c.out]
    write_page(
        path,
        "choosing/choose.html",
        title="Which backbone at which size",
        about=about,
        best=choice.best,
        machine=choice.machine,
        warnings=choice.warnings,
        plot=_plot([c for c in candidates if c.latency_ms and math.isfinite(c.mean_ap)], left),
        heads=list(HEADS),
        hints=HEADS,
        rows=[_cells(c) for c in sorted(left, key=lambda c: -c.mean_ap)],
        out=[(c.name, value(c.mean_ap), c.out) for c in candidates if c.out],
    )


def _cells(one: Candidate) -> list[Any]:
    return [
        one.name, value(one.mean_ap), span(one.interval), value(one.val),
        *one.speeds,
        f"{one.megabytes:.1f}", f"{one.gmacs:.2f}", one.licence,
    ]  # fmt: skip


def _plot(measured: Sequence[Candidate], left: Sequence[Candidate]) -> Markup:
    if not measured:
        return Markup("<p>Nothing was measured.</p>")
    latencies = [math.log2(c.latency_ms or 1) for c in measured]
    maps = [c.mean_ap for c in measured]
    x = (math.floor(min(latencies)), math.ceil(max(latencies)) + 0.01)
    y = (min(maps) - 0.01, max(maps) + 0.01)
    plot = Plot(760, 340, x=x, y=y, left=48, right=20, bottom=34)
    plot.axes([], round_ticks(*y))
    for power in range(math.floor(x[0]), math.ceil(x[1])):
        plot.note(power, y[0], f"{2.0**power:g} ms", down=16)
    best = front(left)
    plot.line([(math.log2(c.latency_ms or 1), c.mean_ap) for c in best])
    for c in measured:
        hint = f"{c.name}: mAP {value(c.mean_ap)}, {c.latency_ms:.2f} ms"
        plot.dot(math.log2(c.latency_ms or 1), c.mean_ap, hint, "mark" if c in left else "dot")
    for number, c in enumerate(best):
        right = math.log2(c.latency_ms or 1) > sum(x) / 2
        place = (math.log2(c.latency_ms or 1), c.mean_ap)
        plot.note(
            *place,
            c.name,
            "end" if right else "start",
            right=-7 if right else 7,
            down=14 - 20 * (number % 2),
        )
    return plot.svg("mAP of each candidate against the milliseconds that one image takes")
