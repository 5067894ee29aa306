"""Fields: the types that options are made of, and what all tables have in common."""

from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field

from evox.durations import seconds

__all__ = ["Bytes", "Count", "Limit", "Network", "Number", "Port", "Seconds", "Table", "split"]


def _seconds(value: Any) -> float:
    """Read a duration; from the environment even a plain number is a text."""
    try:
        return seconds(float(value) if isinstance(value, str) else value)
    except ValueError:
        return seconds(value)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("it must be more than 0")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it is a whole number")  # noqa: TRY004  pydantic wants this one
    return value


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError as error:
        raise ValueError(f"{error}; write an address or a network such as 10.0.0.0/8") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Limit = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Bytes = Annotated[ByteSize, AfterValidator(_positive)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Number = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Network = Annotated[str, AfterValidator(_network)]


def split(value: object) -> object:
    """Read a list; from the environment it is a text with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Table(BaseModel):
    """A table of options: unknown names are errors, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
