"""`python -m tests.fuzz [KIND...] --mutants N --seed S`: damaged files by the thousand."""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz kinds of files and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(TARGETS))
    parser.add_argument("--mutants", type=int, default=1500, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first mutant")
    parser.add_argument("--keep", type=Path, help="folder for accepted mutants of other meaning")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print(f"{'kind':9}{'mutants':>9}{'refused':>9}{'same':>7}{'other':>7}{'faults':>8}")
    seeds = range(given.seed, given.seed + given.mutants)
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            tally = fuzz(kind, Path(folder), seeds, given.keep)
        numbers = (len(seeds), tally.refused, tally.same, tally.other, len(tally.faults))
        widths = (9, 9, 7, 7, 8)
        cells = (f"{n:{w}}" for n, w in zip(numbers, widths, strict=True))
        print(f"{kind:9}" + "".join(cells), *tally.faults[:20], sep="\n", flush=True)


if __name__ == "__main__":
    main()
