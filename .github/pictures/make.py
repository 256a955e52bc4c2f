"""Makes the pictures of the README anew, from the commands that it shows.

    python .github/pictures/make.py          needs mlc on the PATH and a Chromium

Everything runs in a temporary folder; the pictures are written beside this file.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
COMMANDS = (
    "mlc train --preset quickstart",
    "mlc thresholds",
    "mlc eval --split test --report",
    "mlc predict datasets/digits/images/test --output labels.jsonl --gallery labels.html --explain",
)
SHOTS = {
    "report.png": ("runs/latest/report-test.html", (1100, 1500)),
    "gallery.png": ("labels.html", (1100, 760)),
}


def main() -> None:
    """Run the commands, photograph the pages, keep what the commands said."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            print(f"$ {command}", flush=True)
            subprocess.run(command.split(), cwd=folder, check=True)
        for name, (page, size) in SHOTS.items():
            photograph(browser, (Path(folder) / page).resolve(), size, HERE / name)


def photograph(browser: str, page: Path, size: tuple[int, int], target: Path) -> None:
    """Take a picture of the upper part of a page."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--hide-scrollbars", "--disable-background-networking",
                f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
                f"--screenshot={target}", page.as_uri(),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
