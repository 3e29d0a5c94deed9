"""Over a real proxy process: what browsers are told, who else may call, and what can be closed."""

from collections.abc import Iterator

import httpx
import pytest

from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy
from tests.proxy.raw import get

FRIEND, STRANGER = "https://friend.example", "https://stranger.example"


@pytest.fixture(scope="module")
def opened() -> Iterator[str]:
    """A proxy for pages of another origin, without documentation."""
    with (
        running(FakeModelServer()) as server,
        running_proxy(server.url, cors_origins=f"{FRIEND}, http://localhost:3000", docs=False) as (address, _, _log),
    ):
        yield address


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/static/page.js", 200),
        ("/static/none", 404),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/healthz", 200),
        ("/models", 200),
        ("/generate?caption=x", 200),
        ("/generate/events?caption=x", 200),
        ("/generate", 422),
        ("/nowhere", 404),
        ("/v1/models/none", 404),
        ("/v1/images/generations", 405),
    ],
)
def test_every_answer_has_the_security_headers(url: str, path: str, status: int) -> None:
    """Once each: nothing is sniffed or referred, and no stranger frames it; pages have their own policy."""
    answer = httpx.get(url + path)
    assert answer.status_code == status
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    (policy,) = answer.headers.get_list("content-security-policy")
    is_page = path in ("/", "/docs", "/static/page.js")
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors" in policy
    assert ("script-src 'self'" in policy) == is_page
    assert answer.headers.get("x-frame-options") == (None if is_page else "DENY")
    assert "server" not in answer.headers


def test_what_is_not_http_has_them_too(url: str) -> None:
    head, _ = get(url, b"/ \x00")
    assert head[0].startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in head


async def test_a_mistake_of_ours_has_them_too(connect: Connect, fake: FakeModelServer) -> None:
    async with connect() as client:
        client._transport.app.state.service = None  # type: ignore[attr-defined]
        answer = await client.get("/models")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_other_origins_are_refused_by_default(url: str, method: str) -> None:
    """A browser shows a page of another origin nothing without leave."""
    headers = {"Origin": FRIEND, "Access-Control-Request-Method": "GET"}
    answer = httpx.request(method, f"{url}/models", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_origins_that_are_listed_may_call(opened: str) -> None:
    """Theirs and no others; a browser may ask for leave to send a key."""
    for origin in (FRIEND, "http://localhost:3000"):
        answer = httpx.get(f"{opened}/models", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
    for origin in (STRANGER, f"{FRIEND}.evil.example", "http://friend.example", "null"):
        answer = httpx.get(f"{opened}/models", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    asked = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    leave = httpx.options(f"{opened}/generate", headers=asked)
    assert leave.status_code == 200
    assert "Authorization" in leave.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in leave.headers
    assert httpx.options(f"{opened}/generate", headers={**asked, "Origin": STRANGER}).status_code == 400


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documentation_can_be_closed(opened: str, path: str) -> None:
    assert httpx.get(opened + path).status_code == 404
    assert httpx.get(f"{opened}/").status_code == 200
