"""Control: who may change something in a running process. ``[tool.evox.control]``."""

from pydantic import Field

from evox.config.fields import Table

__all__ = ["ControlSettings"]


class ControlSettings(Table):
    """``[tool.evox.control]``. The few commands that change something in a running process."""

    socket: bool = Field(
        default=True,
        description="whether an operator of the same user may, with `evox cache invalidate`; needs `observe.socket`",
    )
    token: str | None = Field(
        default=None,
        min_length=1,
        description="where the operator token is, of 32 characters or more: a file or `env:NAME`; each process makes one that its user's commands find, if there is none here",  # noqa: E501  one row of a table
    )
