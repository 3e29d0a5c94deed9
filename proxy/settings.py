"""The proxy's settings, read from environment variables that begin with EASEL_."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, HttpUrl, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from proxy.logs import Format
from proxy.pace import MOST_STEPS_PER_CALL

Url = Annotated[str, AfterValidator(lambda url: str(HttpUrl(url)).rstrip("/"))]
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

    @field_validator("model_server_urls", "families", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("model_server_urls", "families")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("one is named twice")
        return names
