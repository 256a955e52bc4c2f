"""The base of all settings, and the field types that several of them share."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Frozen and closed: an unknown key is a fault, a value never changes after validation."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _odd_numbers_are_texts(cls, content: Any) -> Any:
        """Python takes true for 1, and counts without end; as text both are the faults they are."""
        if not isinstance(content, dict):
            return content
        kinds = {name: set(types_in(field.annotation)) for name, field in cls.model_fields.items()}
        most = {
            name: math.inf if float in types else _MOST
            for name, types in kinds.items()
            if types & {int, float} and bool not in types
        }
        return {key: _spelt(v, most[key]) if key in most else v for key, v in content.items()}


_MOST = 2**53
"""Whole numbers beyond are no counts, and not exact in JSON."""


def _spelt(value: Any, most: float) -> Any:
    if isinstance(value, list | tuple):
        return [_spelt(part, most) for part in value]
    if isinstance(value, bool):
        return str(value)
    too_large = isinstance(value, int | float) and abs(value) > most
    return f"{str(value)[:20]}..., which is too large" if too_large else value


def types_in(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from types_in(part)


def _height_and_width(value: Any) -> Any:
    """Read one number as both, and `64x96` or `64,96` as two."""
    parts = re.split("[x,]", value) if isinstance(value, str) else value
    if isinstance(parts, int):
        return (parts, parts)
    if not isinstance(parts, list | tuple) or len(parts) not in (1, 2):
        raise ValueError("expected height and width, as in 64x96, or one number for both")
    return (*parts, *parts) if len(parts) == 1 else tuple(parts)


Side = Annotated[int, Field(ge=16, le=8192)]
SizeHW = Annotated[
    tuple[Side, Side],
    BeforeValidator(
        _height_and_width,
        json_schema_input_type=Side
        | tuple[Side, Side]
        | Annotated[str, Field(pattern="^\\d+[x,]\\d+$")],
    ),
]
"""Height and width in pixels; one number stands for both."""

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Mean = tuple[Probability, Probability, Probability]
Spread = Annotated[float, Field(gt=0, le=1)]
Std = tuple[Spread, Spread, Spread]


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]


def as_renames(value: Any) -> dict[str, str]:
    """Read `old=new`, or a list of such texts, or a mapping."""
    if isinstance(value, dict):
        return {str(old): str(new) for old, new in value.items()}
    renames: dict[str, str] = {}
    for text in [value] if isinstance(value, str) else value:
        old, equals, new = (part.strip() for part in str(text).partition("="))
        if not (old and equals and new) or "=" in new:
            raise ValueError("expected old=new; names with = go into a mapping {old: new}")
        if renames.setdefault(old, new) != new:
            raise ValueError(f"{old} would get two names, {renames[old]} and {new}")
    return renames


Renames = Annotated[dict[str, str], BeforeValidator(as_renames)]


def _as_names(value: Any) -> Any:
    """One name is a list of one; numbers that name classes are text."""
    values = [value] if isinstance(value, str | int) else value
    return tuple(map(str, values)) if isinstance(values, list | tuple) else values


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]
