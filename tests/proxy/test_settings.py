"""Settings come from EASEL_ variables, and a wrong one is named."""

import pytest
from pydantic import ValidationError

from proxy.__main__ import main
from proxy.app import worker
from proxy.settings import Settings


def test_the_defaults() -> None:
    settings = Settings()
    assert settings.model_server_urls == ("http://127.0.0.1:8501",)
    assert settings.families == ("emoji",)
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.is_local
    assert (settings.cors_origins, settings.trusted_proxies, settings.api_keys_file) == ((), (), None)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("::", False),
        ("10.0.0.1", False),
        ("h", False),
    ],
)
def test_only_a_loopback_address_is_local(host: str, is_local: bool) -> None:
    assert Settings(host=host).is_local is is_local


def test_every_field_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MODEL_SERVER_URLS", "http://models:8501/, https://more/models")
    monkeypatch.setenv("EASEL_FAMILIES", "sd-v1, emoji,")
    monkeypatch.setenv("EASEL_PORT", "8080")
    monkeypatch.setenv("EASEL_STEPS_PER_CALL", "1")
    settings = Settings()
    assert settings.model_server_urls == ("http://models:8501", "https://more/models")
    assert settings.families == ("sd-v1", "emoji")
    assert settings.port == 8080
    assert settings.steps_per_call == 1


async def test_a_worker_takes_its_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_FAMILIES", "sd-v1,emoji")
    app = worker()
    async with app.router.lifespan_context(app):
        assert app.state.service.catalogue.names == ("sd-v1", "emoji")


def test_one_server_may_go_by_the_older_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MODEL_SERVER_URL", "http://one:8501")
    assert Settings().model_server_urls == ("http://one:8501",)
    monkeypatch.setenv("EASEL_MODEL_SERVER_URLS", "http://two:8501")
    assert Settings().model_server_urls == ("http://two:8501",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EASEL_MODEL_SERVER_URLS", "ftp://x"),
        ("EASEL_MODEL_SERVER_URLS", "http://a,nowhere"),
        ("EASEL_MODEL_SERVER_URLS", ","),
        ("EASEL_MODEL_SERVER_URLS", "http://a,http://a/"),
        ("EASEL_FAMILIES", ","),
        ("EASEL_FAMILIES", "emoji,../x"),
        ("EASEL_FAMILIES", "emoji,emoji"),
        ("EASEL_PORT", "70000"),
        ("EASEL_STEPS_PER_CALL", "0"),
        ("EASEL_STEPS_PER_CALL", "26"),
        ("EASEL_WORKERS", "0"),
        ("EASEL_ROWS_PER_CALL", "0"),
        ("EASEL_CONCURRENT_REQUESTS", "0"),
        ("EASEL_CONTEXT_CACHE_BYTES", "-1"),
        ("EASEL_CALL_TIMEOUT_SECONDS", "0"),
        ("EASEL_CALL_TIMEOUT_SECONDS", "inf"),
        ("EASEL_REQUEST_SECONDS", "0"),
        ("EASEL_SHUTDOWN_SECONDS", "-1"),
        ("EASEL_LOG_LEVEL", "loud"),
        ("EASEL_CORS_ORIGINS", "https://a.example/path"),
        ("EASEL_CORS_ORIGINS", "https://a.example,a.example"),
        ("EASEL_CORS_ORIGINS", "https://*.example"),
        ("EASEL_TRUSTED_PROXIES", "*"),
        ("EASEL_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("EASEL_TRUSTED_PROXIES", "proxy.example"),
        ("EASEL_REQUESTS_PER_MINUTE_PER_ADDRESS", "0"),
        ("EASEL_READ_SECONDS", "0"),
        ("EASEL_DOCS", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named_at_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()
    assert main() == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"{name}: received ")
    assert value.split(",")[-1] in complaint
