"""The base of all settings, and the field types that several of them share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Settings(BaseModel):
    """Frozen and closed: an unknown key is a fault, a value never changes after validation."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )


def square(value: Any) -> Any:
    """Read one number as height and width."""
    return (value, value) if isinstance(value, int) else value


Side = Annotated[int, Field(ge=16, le=8192)]
SizeHW = Annotated[tuple[Side, Side], BeforeValidator(square)]
"""Height and width in pixels; one number stands for both."""

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
RGB = tuple[float, float, float]
