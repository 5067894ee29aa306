"""Observe: who may look into a running process, and how much it remembers. ``[tool.evox.observe]``."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from evox.config.fields import Count, Table, split

__all__ = ["ObserveSettings"]


class ObserveSettings(Table):
    """``[tool.evox.observe]``. Who may look at ``/_evox``; nobody can change anything there."""

    access: Literal["auto", "loopback", "token", "off"] = Field(
        default="auto",
        description="`loopback`: this machine; `token`: who shows one; `auto`: loopback with `--dev`, else token",
    )
    tokens: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(), description="where tokens for it are, of 32 characters or more each: files or `env:NAME`"
    )
    socket: bool = Field(
        default=True,
        description="whether `evox health` and `evox dashboard` of the same user find the process by themselves",
    )
    recent: Count = Field(default=200, le=10_000, description="kinds of errors and warnings that are remembered")
