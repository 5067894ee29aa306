"""Tables: the options there are, with their types, defaults and meanings."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ByteSize, Field
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from evox.config.auth import AuthSettings
from evox.config.control import ControlSettings
from evox.config.data import DataSettings
from evox.config.fields import Bytes, Count, Limit, Network, Number, Port, Seconds, Table, split
from evox.config.observe import ObserveSettings
from evox.config.priority import PrioritySettings
from evox.config.proxy import Peers, ProxySettings

__all__ = ["RuntimeSettings", "ServingSettings", "Settings"]


class ServingSettings(Table):
    """``[tool.evox.serving]``. Durations in seconds or as ``"30s"``, sizes in bytes or as ``"10MB"``."""

    drain_delay: Seconds = Field(
        default=1.0, description="from the signal to the close of the listener; readiness says 503 meanwhile"
    )
    drain_timeout: Seconds = Field(default=30.0, description="hard deadline after the signal: what still runs is cut")
    stream_grace: Seconds = Field(default=5.0, description="how long streams and WebSockets may go on after the signal")
    keep_alive: Seconds = Field(default=75.0, description="how long an idle connection is kept")
    backlog: Count = Field(
        default=2048, le=65_535, description="connections the kernel queues before they are accepted"
    )
    connections: Count = Field(default=10_000, description="open connections of a listener; one more is answered 503")
    header_bytes: Bytes = Field(default=ByteSize(16_384), description="size of a request's head; a longer one is 431")
    header_count: Count = Field(default=100, description="headers of a request; more are 431")
    header_timeout: Limit = Field(
        default=10.0, description="how long a request's head may take, and a TLS handshake; a slower head is 408"
    )
    body_bytes: Bytes = Field(default=ByteSize(10_000_000), description="size of a request's body; a larger one is 413")
    body_timeout: Limit = Field(
        default=20.0, description="how long a handler waits for a body, besides the time its bytes take at body_rate"
    )
    body_rate: Bytes = Field(default=ByteSize(500), description="slowest body in bytes a second; a slower one is 408")
    write_timeout: Limit = Field(
        default=30.0, description="how long a client may take to read 64 KiB of an answer before it is cut"
    )
    websocket_bytes: Bytes = Field(
        default=ByteSize(16_777_216), description="size of a WebSocket message; a larger one is closed with 1009"
    )
    ping: Limit = Field(
        default=20.0, description="a WebSocket or HTTP/2 client silent this long is pinged, and cut after as long again"
    )
    http1: Literal["fast", "hypercorn"] = Field(
        default="fast", description="who serves plain HTTP/1.1: Evox itself, or hypercorn as all other protocols"
    )
    streams: Count = Field(default=100, le=32_768, description="requests at a time on one HTTP/2 connection")
    h2c: bool = Field(default=False, description="HTTP/2 without TLS")
    certfile: str | None = Field(default=None, min_length=1, description="certificate chain in PEM; turns TLS on")
    keyfile: str | None = Field(default=None, min_length=1, description="its private key, if certfile does not hold it")
    forwarded_from: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(), description="proxies whose X-Forwarded-For and -Proto are believed: addresses or networks"
    )


class RuntimeSettings(Table):
    """``[tool.evox.runtime]``. Durations in seconds or as ``"30s"``."""

    start_timeout: Seconds = Field(default=30.0, description="limit of each service's start-up")
    shutdown_timeout: Seconds = Field(default=10.0, description="limit of each service's shutdown hooks")
    max_restarts: Number = Field(default=5, description="crashes of a service tolerated within window")
    window: Seconds = Field(default=60.0, description="seconds over which crashes are counted")
    backoff: Seconds = Field(default=0.5, description="wait before the first restart; doubles")
    threads: Count = Field(default=40, description="worker threads of a service's hooks and background tasks")


class Settings(BaseSettings):
    """``[tool.evox]``."""

    model_config = SettingsConfigDict(
        env_prefix="EVOX_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    backend: Literal["auto", "trio", "asyncio"] = Field(default="auto", description="the event loop")
    services: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(), description="files, folders or modules to run; found by themselves when empty"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    gateway: bool = Field(default=False, description="all services under one port")
    port: Port = Field(default=8000, description="the gateway's port, and the first one given to services without one")
    workers: Count = Field(default=1, description="processes that share the sockets")
    serving: ServingSettings = ServingSettings()
    priority: PrioritySettings = PrioritySettings()
    runtime: RuntimeSettings = RuntimeSettings()
    data: DataSettings = DataSettings()
    auth: AuthSettings = AuthSettings()
    proxy: ProxySettings = ProxySettings()
    observe: ObserveSettings = ObserveSettings()
    control: ControlSettings = ControlSettings()
    peers: Peers = Field(
        default={}, description="services that run elsewhere: `[tool.evox.peers] NAME = { url = ... }`"
    )
    config: dict[str, dict[str, Any]] = Field(
        default={}, description="your own sections, read with inject.config(name)"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what ``load`` hands over: it has merged the sources, and knows each value's origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
