"""Fields: what a form of what another process sends is made of. Each is cut to size, so that no page bursts.

Texts, lists and tables lose what is too much, numbers end at their bounds; what is of another type is an error.
"""

import math
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from evox.observe.legible import legible

__all__ = ["Count", "Few", "Number", "Said", "Some", "Text"]

T = TypeVar("T")
ITEMS = 1_000
LARGEST = 2**63  # so that no number is longer than its column, or too large for a float
SIMPLE = (str, int, float, bool, type(None))


def _cut(value: Any) -> Any:
    return legible(value) if isinstance(value, str) else value


def _some(value: Any) -> Any:
    return value[:ITEMS] if isinstance(value, list) else value


def _few(value: Any) -> Any:
    return dict(islice(value.items(), ITEMS)) if isinstance(value, dict) else value


def _clamped(value: Any) -> Any:
    return min(max(value, -LARGEST), LARGEST) if isinstance(value, int) else value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return min(max(value, -1.0 * LARGEST), 1.0 * LARGEST) if math.isfinite(value) else value
    return _clamped(value)


def _said(value: Any) -> Any:
    """Write what may be of any form as a text; what is in it is only looked at so far."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(str(one) if isinstance(one, SIMPLE) else "..." for one in value[:ITEMS])
    return str(value) if isinstance(value, SIMPLE) else "..."


Text = Annotated[str, BeforeValidator(_cut)]
Some = Annotated[list[T], BeforeValidator(_some)]
Few = Annotated[dict[Text, T], BeforeValidator(_few)]
Number = Annotated[float, BeforeValidator(_finite), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_clamped)]
Said = Annotated[str, BeforeValidator(_cut), BeforeValidator(_said)]
