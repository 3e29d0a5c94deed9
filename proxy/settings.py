"""The proxy's settings, read from environment variables that begin with EASEL_."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, HttpUrl, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from proxy import keys
from proxy.logs import Format
from proxy.pace import MOST_STEPS_PER_CALL


def _origin(value: str) -> str:
    if value != "*" and not re.fullmatch(r"https?://[^\s/?#@*]+", value):
        raise ValueError("an origin is https://example.org or http://example.org:8080, without a path, or *")
    return value


def _keys_file(path: Path) -> Path:
    try:
        keys.read(path)
    except OSError as exc:
        raise ValueError(exc.strerror) from exc
    return path


Url = Annotated[str, AfterValidator(lambda url: str(HttpUrl(url)).rstrip("/"))]
Network = Annotated[str, AfterValidator(lambda address: str(ip_network(address)))]
Origin = Annotated[str, AfterValidator(_origin)]
FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Settings(BaseSettings):
    """Every field is EASEL_ and its name in capitals, e.g. EASEL_MODEL_SERVER_URLS."""

    model_config = SettingsConfigDict(env_prefix="EASEL_", frozen=True, populate_by_name=True)

    model_server_urls: Annotated[
        tuple[Url, ...],
        NoDecode,
        Field(min_length=1, validation_alias=AliasChoices("EASEL_MODEL_SERVER_URLS", "EASEL_MODEL_SERVER_URL")),
    ] = ("http://127.0.0.1:8501",)
    """Addresses of the model servers' REST APIs, with commas between; all serve the same models."""

    families: Annotated[tuple[FamilyName, ...], NoDecode, Field(min_length=1)] = ("emoji",)
    """Families that are served, with commas between; the first is the default."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every network."""

    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """Port to listen on."""

    workers: Annotated[int, Field(ge=1)] = 1
    """Processes that answer, all on the same port; they share nothing."""

    steps_per_call: Annotated[int, Field(ge=1, le=MOST_STEPS_PER_CALL)] | None = None
    """Denoising steps in one call of the model server; by default as many as take a quarter of a second."""

    rows_per_call: Annotated[int, Field(ge=1)] = 16
    """Pictures of one request in one call; lower it where the model server's memory is short."""

    concurrent_requests: Annotated[int, Field(ge=1)] = 16
    """Requests that are drawn at the same time, in each worker; the others wait in line."""

    queue_length: Annotated[int, Field(ge=0)] = 128
    """Requests that may wait in line, in each worker; more are refused with 503."""

    requests_per_caller: Annotated[int, Field(ge=1)] = 64
    """Requests that one caller may have under way, in each worker; more are refused with 429."""

    pixel_steps_per_request: Annotated[int, Field(ge=1)] = 2_000_000_000
    """What one request may ask for: steps x n x width x height."""

    context_cache_bytes: Annotated[int, Field(ge=0)] = 8_000_000
    """What captions' contexts may take in memory, in each worker: about 150 of emoji, 25 of Stable Diffusion 1."""

    request_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 600.0
    """How long a request may take, with its time in line; it may ask for less."""

    connect_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """How long a connection to the model server may take."""

    call_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """How long one call of the model server may take."""

    shutdown_seconds: Annotated[int, Field(ge=0)] = 30
    """How long work that is under way may go on after SIGTERM."""

    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    """What is logged."""

    log_format: Format = "text"
    """How it is logged: text for people, json for programs."""

    metrics: bool = True
    """Whether GET /metrics shows what the proxy counts."""

    api_keys_file: Annotated[Path, AfterValidator(_keys_file)] | None = None
    """Hashed keys, which python -m proxy.keys writes; without it, everybody who reaches the proxy may draw."""

    api_keys_in_query: bool = False
    """Whether GET requests may carry their key as api_key=, where others may see it."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins, with commas between, whose pages may call the API from a browser; none by default."""

    docs: bool = True
    """Whether there are /docs and /openapi.json."""

    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Addresses or networks, with commas between, whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    requests_per_minute_per_address: Annotated[int, Field(ge=1)] | None = None
    """Requests that one address may make in any minute, in each worker; more are refused with 429."""

    read_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    """How long a request may take to arrive, and a second more for each 10 kB of it."""

    @field_validator("model_server_urls", "families", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("model_server_urls", "families", "cors_origins", "trusted_proxies")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("one is named twice")
        return names

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the proxy."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
