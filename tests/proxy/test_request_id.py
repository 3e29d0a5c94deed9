"""The id of a request: the client's or a new one, in every answer and in every call of a model server."""

import re

import httpx
import pytest
from openai import OpenAI

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.event_stream import PATIENCE_SECONDS
from tests.proxy.fake_model_server import FakeModelServer

NAME = "X-Request-ID"
NEW = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/generate?caption=a", 200),
        ("/generate/events?caption=a", 200),
        ("/", 200),
        ("/static/page.js", 200),
        ("/openapi.json", 200),
        ("/metrics", 200),
        ("/generate", 422),
        ("/nowhere", 404),
        ("/v1/models/nobody", 404),
    ],
)
def test_every_answer_has_it(url: str, path: str, status: int) -> None:
    """The client's own comes back; without one, there is a new one each time."""
    own = httpx.get(url + path, headers={NAME: "A-client.s_0wn"})
    assert (own.status_code, own.headers.get_list(NAME)) == (status, ["A-client.s_0wn"])
    new = [httpx.get(url + path).headers[NAME] for _ in range(2)]
    assert all(NEW.fullmatch(one) for one in new)
    assert new[0] != new[1]


@pytest.mark.parametrize("sent", ["", "a" * 65, "a b", 'a"', "<script>", "%0d%0a", "a;b", "\u00e9".encode()])
def test_one_that_could_do_harm_is_not_taken(url: str, sent: str | bytes) -> None:
    assert NEW.fullmatch(httpx.get(f"{url}/healthz", headers={NAME.encode(): sent}).headers[NAME])


def test_it_goes_to_the_model_server_with_every_call(url: str, served: FakeModelServer) -> None:
    """Of all networks, on GET and POST, and of a job that is watched."""
    for path in ("/generate", "/generate/events"):
        served.heads.clear()
        answer = httpx.get(f"{url}{path}?caption={path}", headers={NAME: f"own{path[-1]}"}, timeout=PATIENCE_SECONDS)
        assert answer.is_success
        assert len(served.heads) >= 3
        assert {head.get(NAME.lower()) for head in served.heads} == {f"own{path[-1]}"}


async def test_a_mistake_of_the_proxy_has_it_too(fake: FakeModelServer) -> None:
    """What Starlette itself answers when the code below it fails."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        del app.state.service
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://e") as client:
            answer = await client.get("/generate?caption=a", headers={NAME: "own"})
    assert (answer.status_code, answer.headers[NAME]) == (500, "own")


def test_openais_client_reads_it(url: str) -> None:
    """Under the name that it has there."""
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    assert NEW.fullmatch(client.images.generate(prompt="a")._request_id or "")
