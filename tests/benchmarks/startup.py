"""`mlc --help` against `python -c "import typer"`, as whole processes."""

import subprocess
import sys
from pathlib import Path

from timing import alternate, show

MLC = str(Path(sys.executable).parent / "mlc")


def main() -> None:
    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    ours, theirs = alternate(
        [lambda: run(MLC, "--help"), lambda: run(sys.executable, "-c", "import typer")], 15
    )
    show(
        "start-up (seconds)",
        ("mlc --help", "import typer", "ratio"),
        [(f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}")],
    )


if __name__ == "__main__":
    main()
