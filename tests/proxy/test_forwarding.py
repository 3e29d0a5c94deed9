"""Over a real proxy process: which address a request came from, and how often one may ask."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

MOST = 3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running(FakeModelServer()) as running_server:
        yield running_server.url


@pytest.fixture
def behind(server: str) -> Iterator[str]:
    """A proxy behind another on this machine."""
    settings = {"trusted_proxies": "127.0.0.0/8, 10.0.0.1", "requests_per_minute_per_address": MOST}
    with running_proxy(server, **settings) as (address, _, _log):
        yield address


def ask(url: str, forwarded: str | None = None, path: str = "/models") -> int:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return httpx.get(url + path, headers=headers).status_code


def allowed(url: str, *addresses: str) -> int:
    """How many requests pass of more than are allowed, from these addresses in turn."""
    return sum(ask(url, addresses[i % len(addresses)]) == 200 for i in range(3 * MOST))


def test_each_address_has_its_own_rate(behind: str) -> None:
    """Of IPv6, each network of 64 bits; IPv4 written as IPv6 is the same address."""
    assert allowed(behind, "1.2.3.4") == MOST
    assert allowed(behind, "1.2.3.5", "::ffff:1.2.3.5", "1.2.3.5:4711") == MOST
    assert allowed(behind, "2001:db8::1", "2001:db8::2", "[2001:db8::ffff:0:0:1]:99") == MOST
    assert allowed(behind, "2001:db8:0:1::1") == MOST


def test_only_what_the_trusted_proxy_adds_is_believed(behind: str) -> None:
    """What a client sends itself comes before it in the list, and is passed over; what is no address is one caller."""
    assert allowed(behind, "9.9.9.1, 5.5.5.5", "9.9.9.2, 5.5.5.5", "nonsense, 5.5.5.5", "5.5.5.5, 10.0.0.1") == MOST
    assert allowed(behind, "nonsense", "more nonsense", "<script>") == MOST


def test_refusals_say_when_to_come_back_and_health_is_always_told(behind: str) -> None:
    start = time.monotonic()
    allowed(behind, "7.7.7.7")
    refused = httpx.get(f"{behind}/v1/models", headers={"X-Forwarded-For": "7.7.7.7"})
    assert refused.status_code == 429
    assert 59 - (time.monotonic() - start) <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "rate_limited"
    assert {ask(behind, "7.7.7.7", path) for path in ("/healthz", "/readyz", "/", "/static/page.js")} == {200}


def test_nobody_is_believed_by_default(server: str) -> None:
    """Neither about the address, though uvicorn by itself believes this machine, nor about the scheme."""
    with running_proxy(server, requests_per_minute_per_address=MOST) as (url, _, log):
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6"}
        drawn = httpx.post(f"{url}/v1/images/generations", json={"prompt": "x"}, headers=headers)
        assert drawn.json()["data"][0]["url"].startswith("http://")
        assert allowed(url, "1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4") == MOST - 1
    assert not any("6.6.6.6" in line for line in log)


def test_a_trusted_proxy_says_the_scheme_of_links(behind: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "8.8.8.8", "Host": "easel.example"}
    drawn = httpx.post(f"{behind}/v1/images/generations", json={"prompt": "x"}, headers=headers)
    assert drawn.json()["data"][0]["url"].startswith("https://easel.example/generate?")


def test_only_trusted_addresses_are_believed(server: str) -> None:
    settings = {"trusted_proxies": "10.0.0.0/8", "requests_per_minute_per_address": MOST}
    with running_proxy(server, **settings) as (url, _, _log):
        assert allowed(url, "1.1.1.1", "2.2.2.2", "10.0.0.1") == MOST


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "INFO proxy.app: There are no API keys (EASEL_API_KEYS_FILE): only this machine, by 127.0.0.1"),
        ("0.0.0.0", "WARNING proxy.app: There are no API keys (EASEL_API_KEYS_FILE): everybody who reaches 0.0.0.0"),  # noqa: S104
    ],
)
def test_who_may_draw_without_keys_is_told_at_start(server: str, host: str, told: str) -> None:
    with running_proxy(server, host=host) as (_, __, log):
        pass
    assert sum(line.startswith(told) for line in log) == 1
