"""What columns of tables are called."""

import re

from mlc_cli.core.datasets.formats.shared.split_names import meaning

SPLIT_NAMES = {"split", "subset", "set", "partition", "split_name"}
"""What columns of splits are called."""
STATE_NAMES = {"value", "present", "presence", "state", "positive", "is_present", "confidence"}
"""What columns are called whose flag says of a row whether the image has its label."""
SCORE_NAMES = {"confidence", "score", "probability", "prob"}
"""What columns are called that say how sure a row is, where they hold no flags."""
_LABEL_WORDS = {
    "label", "labels", "tag", "tags", "class", "classes", "category", "categories", "target",
    "targets",
}  # fmt: skip
_IMAGE_WORDS = {
    "image", "images", "img", "file", "filename", "filepath", "fname", "path", "photo", "picture",
}  # fmt: skip
_OF_IMAGES = {"width", "height", "size", "view", "type", "format", "ext"}
"""How columns end that tell something of images, not which they are."""
ALSO_LABELS = re.compile(
    r"(?:.*_)?(?:attribute|genre|keyword|specie)s?|(?:.*_)?(?:label|tag|class|category|attribute)"
    r"_(?:name|(id))s?"
)
"""What columns of labels are called in tables without flags; names go before numbers."""
_NAMES = re.compile(r"(?i)class|label|categor|species|breed|^name$")


def called_image(name: str) -> bool:
    """Whether a column is called after images: `image_id`, `File Path`."""
    words = words_of(name)
    return bool(_IMAGE_WORDS & set(words)) and words[-1] not in _OF_IMAGES


def called_names(name: str) -> bool:
    """Whether a column may have the names of classes: `ClassName`, `species`."""
    return _NAMES.search(name) is not None


def sides(name: str) -> tuple[str, str] | None:
    """Splits of rows that have 1 and 0 in a column such as `is_valid`."""
    is_, _, split = joined(name).partition("_")
    side = meaning(split) if is_ == "is" else None
    return None if side is None else (side, "val" if side == "train" else "train")


def called_labels(name: str) -> bool:
    """Whether a column or a key is called after labels: `labels`, `Finding Labels`, `tag_2`."""
    return (words_of(unnumbered(name)) or [""])[-1] in _LABEL_WORDS


def unnumbered(name: str) -> str:
    """A name without a number at its end: `label` for `Label_2`."""
    return name.lower().rstrip("0123456789").rstrip("-_. ")


def words_of(name: str) -> list[str]:
    """Words of the name of a column, in small letters."""
    return re.findall(r"[^\W_]+", name.lower())


def joined(name: str) -> str:
    """Words of the name of a column with `_` between them: `class_id` for `ClassId`."""
    return "_".join(words_of(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)))
