"""What to do about an annotation file that is not there."""

from pathlib import Path
from shlex import quote


def missing_hint(source: Path) -> str:
    """The repair, by what is there in its place."""
    folder, split = source.parent, source.stem
    if folder.is_file():
        return f"--data takes the folder of the data set, and {folder} is a file."
    if split == "val" and source.with_name("train.json").exists():
        return (
            f"Share train.json out: mlc dataset-convert mlc {quote(str(folder))} DEST"
            " --split 0.8,0.2, or train in folds, which need none: mlc train --cross-validate 5"
        )
    return (
        "Pass the folder of the data set with --data, or name the file with"
        f" `--set data.{split if split in ('val', 'test') else 'train'}=FILE`."
    )
