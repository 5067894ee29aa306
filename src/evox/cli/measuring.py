"""Measuring: the options that commands of ``evox bench`` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import asyncclick as click

__all__ = ["as_json", "scale"]

F = TypeVar("F", bound=Callable[..., Any])

scale: Callable[[F], F] = click.option(
    *("--scale", "scale"),
    type=click.FloatRange(0.01, 10),
    default=1.0,
    show_default=True,
    help="How much is measured: 0.1 is ten times quicker, and less exact.",
)
as_json: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
