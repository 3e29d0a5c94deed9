"""Over a real proxy process with keys: who comes in, how often, and what of a key is ever seen again."""

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import openai
import pytest
from PIL import Image

from proxy import cli, keys
from proxy.keys import Key
from tests.proxy.event_stream import wait_until
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.guarded import Guarded, guarded

QUICK = {"caption": "red heart", "steps": 2, "seed": 1}


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    yield from guarded(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One that takes keys from the query."""
    yield from guarded(tmp_path_factory.mktemp("keys"), api_keys_in_query=True)


CLOSED = [
    ("GET", "/generate?caption=x"),
    ("POST", "/generate"),
    ("GET", "/generate/events?caption=x"),
    ("GET", "/generate/cancel?job=x"),
    ("GET", "/models"),
    ("GET", "/tokens?caption=x"),
    ("GET", "/image?prompt=x"),
    ("GET", "/v1/models"),
    ("POST", "/v1/images/generations"),
    ("POST", "/sdapi/v1/txt2img"),
    ("GET", "/sdapi/v1/progress"),
    ("POST", "/sdapi/v1/interrupt"),
    ("POST", "/sdapi/v1/png-info"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/nowhere"),
    ("GET", "//generate?caption=x"),
    ("GET", "/healthz/../generate?caption=x"),
    ("OPTIONS", "/generate"),
    ("HEAD", "/generate?caption=x"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_that_draws_or_tells_is_open(shut: Guarded, method: str, path: str) -> None:
    """Each answers 401, in its API's shape, and no model server hears of it."""
    shut.fake.calls.clear()
    asked = httpx.URL(shut.url).copy_with(raw_path=path.encode())
    answer = httpx.request(method, asked, json={"caption": "x", "prompt": "x"} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert shut.fake.calls == []
    if method != "HEAD":
        said = answer.json()
        if path.startswith("/v1"):
            assert (said["error"]["code"], said["error"]["type"]) == ("invalid_api_key", "invalid_request_error")
        elif path.startswith("/sdapi"):
            assert said["error"] == "invalid_api_key"
            assert "API key" in said["detail"]
        else:
            assert said["error"]["type"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/static/../generate?caption=x", "/static/..%2fgenerate", "/docs/../models"])
def test_no_open_path_leads_to_a_closed_one(shut: Guarded, path: str) -> None:
    answer = httpx.get(httpx.URL(shut.url).copy_with(raw_path=path.encode()))
    assert answer.status_code in (401, 404)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("sent", ["Bearer", "Bearer alice.wrong", "Bearer nobody.x", "Basic YTpi", "alice.x"])
def test_a_wrong_key_opens_nothing(shut: Guarded, sent: str) -> None:
    answer = httpx.get(f"{shut.url}/models", headers={"Authorization": sent})
    assert answer.status_code == 401
    assert "alice" not in answer.text


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/static/docs.js", "/healthz", "/readyz"])
def test_the_pages_and_health_are_open(shut: Guarded, path: str) -> None:
    assert httpx.get(shut.url + path).status_code == 200


def test_a_key_opens_every_api(shut: Guarded) -> None:
    with shut.client("alice") as client:
        assert client.get("/generate", params=QUICK).headers["content-type"] == "image/png"
        assert client.post("/generate", json=QUICK).json()["pictures"]
        assert client.get("/image", params={"prompt": "x"}).json()["image"]
        assert client.post("/sdapi/v1/txt2img", json={"prompt": "x", "steps": 2}).json()["images"]
        assert client.get("/openapi.json").json()["paths"]
        assert client.get("/nowhere").status_code == 404
        lower = {"Authorization": f"bearer   {shut.keys['alice']}"}
        assert client.get("/models", headers=lower).status_code == 200


def test_openais_client_says_that_a_key_is_wrong(shut: Guarded) -> None:
    """It raises what it raises at OpenAI; with the right key it gets its picture."""
    with openai.OpenAI(base_url=f"{shut.url}/v1", api_key="alice.no", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.images.generate(prompt="red heart")
        assert refused.value.code == "invalid_api_key"
    with openai.OpenAI(base_url=f"{shut.url}/v1", api_key=shut.keys["alice"], max_retries=0) as client:
        assert client.images.generate(prompt="red heart").data


def test_a_key_has_its_own_rate(shut: Guarded) -> None:
    """The fourth request of a minute is a 429 that says when to come back, in every API's shape; others go on.

    What draws nothing is not counted: tokens, how work is, and its end.
    """
    with shut.client("hasty") as hasty, shut.client("alice") as alice:
        assert [hasty.get("/models").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = hasty.get("/models")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["error"]["type"] == "rate_limited"
        assert "3 requests a minute of this key" in refused.json()["error"]["message"]
        assert hasty.get("/v1/models").json()["error"]["code"] == "rate_limited"
        for path in ("/tokens?caption=a", "/sdapi/v1/progress"):
            assert hasty.get(path).status_code == 200
        assert hasty.get("/generate/cancel?job=x").status_code == 404
        assert hasty.post("/sdapi/v1/interrupt").status_code == 200
        assert alice.get("/models").status_code == 200
    theirs = openai.OpenAI(base_url=f"{shut.url}/v1", api_key=shut.keys["hasty"], max_retries=0)
    with theirs as client, pytest.raises(openai.RateLimitError):
        client.models.list()


def test_the_file_is_followed_without_a_restart(shut: Guarded) -> None:
    """A new key opens and a removed one is refused, within two seconds."""
    new = keys.add(shut.file, Key("new", ""))
    headers = {"Authorization": f"Bearer {new}"}
    time.sleep(1.1)
    assert httpx.get(f"{shut.url}/models", headers=headers).status_code == 200
    keys.remove(shut.file, "new")
    time.sleep(1.1)
    assert httpx.get(f"{shut.url}/models", headers=headers).status_code == 401
    wait_until(lambda: any("keys.toml: 4 keys" in line for line in list(shut.log)))


@pytest.mark.parametrize("name", ["api_key", "API_KEY", "%61pi_key"])
def test_a_key_in_the_query_is_refused_unless_enabled(shut: Guarded, name: str) -> None:
    """And even then it is in no log, nor in what the answer repeats."""
    answer = httpx.get(f"{shut.url}/generate?caption=x&{name}={quote(shut.keys['alice'])}&steps=2")
    assert answer.status_code == 401
    assert "query" in answer.json()["error"]["message"]
    assert shut.keys["alice"] not in answer.text
    assert httpx.get(f"{shut.url}/?{name}={shut.keys['alice']}").status_code == 200


def test_a_key_in_the_query_draws_where_that_is_enabled(query: Guarded) -> None:
    """By GET only; neither the picture nor a link nor an error has it."""
    secret = query.keys["alice"]
    answer = httpx.get(f"{query.url}/generate", params={**QUICK, "api_key": secret})
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).text["caption"] == "red heart"  # type: ignore[attr-defined]
    assert secret.encode() not in answer.content
    assert httpx.get(f"{query.url}/models?api_key={secret}").status_code == 200
    assert httpx.post(f"{query.url}/generate?api_key={secret}", json=QUICK).status_code == 401
    assert httpx.get(f"{query.url}/models?api_key=alice.wrong").status_code == 401
    wrong = httpx.get(f"{query.url}/generate", params={"caption": "x", "steps": 0, "api_key": secret})
    assert wrong.status_code == 422
    assert secret not in wrong.text
    headers = {"Authorization": f"Bearer {secret}"}
    link = httpx.post(f"{query.url}/v1/images/generations", json={"prompt": "x"}, headers=headers).json()
    assert secret not in link["data"][0]["url"]
    assert "api_key" not in link["data"][0]["url"]
    assert base64.b64decode(link["data"][0]["b64_json"])


def test_a_server_without_keys_takes_any(proxy: tuple[str, FakeModelServer]) -> None:
    """As clients send that cannot do without one."""
    url, _ = proxy
    assert httpx.get(f"{url}/models", headers={"Authorization": "Bearer none"}).status_code == 200
    assert httpx.get(f"{url}/generate", params={**QUICK, "api_key": "none"}).status_code == 200


def test_the_command_line_takes_a_key_from_its_environment(
    shut: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not as an option, which others on the machine may see; without one, it repeats what the proxy says."""
    asked = ["red heart", "--url", shut.url, "--steps", "1", "-o", str(tmp_path / "heart.png")]
    assert cli.main(asked) == 1
    assert "an API key is needed here" in capsys.readouterr().err
    monkeypatch.setenv("EASEL_API_KEY", shut.keys["alice"])
    assert cli.main(asked) == 0
    assert (tmp_path / "heart.png").exists()
