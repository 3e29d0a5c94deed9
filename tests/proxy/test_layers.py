"""What lies around the routes lies in the right order: every answer has all that browsers and people need of it."""

from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from proxy import keys
from proxy.keys import Key
from tests.proxy.conftest import Connect

FRIEND = "https://friend.example"
LEAVE = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}


async def answers(connect: Connect, folder: Path) -> dict[str, httpx.Response]:
    """What a page of another origin gets from a proxy with keys, by what is special about it."""
    file = folder / "keys.toml"
    key, hasty = (keys.add(file, Key(name, "", rate, None)) for name, rate in (("key", None), ("hasty", 1)))
    async with connect(cors_origins=FRIEND, api_keys_file=file) as client:
        client.headers["Origin"] = FRIEND
        own, other = ({"Authorization": f"Bearer {secret}"} for secret in (key, hasty))
        await client.get("/models", headers=other)
        return {
            "good": await client.get("/models", headers=own),
            "open": await client.get("/healthz"),
            "preflight": await client.options("/generate", headers=LEAVE),
            "nowhere": await client.get("/nowhere", headers=own),
            "no key": await client.get("/models"),
            "too often": await client.get("/models", headers=other),
            "mistake": await _mistake(client, own),
        }


async def _mistake(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    client._transport.app.state.service = None  # type: ignore[attr-defined]
    return await client.get("/models", headers=headers)


async def test_a_page_of_another_origin_can_read_every_answer(connect: Connect, tmp_path: Path) -> None:
    """Whoever gave it: the routes, the door, or nobody because of a mistake. Leave needs no key."""
    found = await answers(connect, tmp_path)
    statuses = {name: answer.status_code for name, answer in found.items()}
    assert statuses == {
        "good": 200,
        "open": 200,
        "preflight": 200,
        "nowhere": 404,
        "no key": 401,
        "too often": 429,
        "mistake": 500,
    }
    for name, answer in found.items():
        assert answer.headers.get_list("access-control-allow-origin") == [FRIEND], name
        if name != "preflight":
            assert "X-Request-ID" in answer.headers["access-control-expose-headers"], name
            assert "Retry-After" in answer.headers["access-control-expose-headers"], name
    assert "Authorization" in found["preflight"].headers["access-control-allow-headers"]


@pytest.mark.parametrize("header", ["x-request-id", "x-content-type-options", "content-security-policy"])
async def test_every_answer_has_each_header_once(connect: Connect, tmp_path: Path, header: str) -> None:
    """Also what only one layer knows of, such as leave or a refusal."""
    for name, answer in (await answers(connect, tmp_path)).items():
        assert len(answer.headers.get_list(header)) == 1, name


def counted(method: str, path: str, status: int) -> float:
    labels = {"method": method, "path": path, "status": str(status)}
    return REGISTRY.get_sample_value("easel_requests_total", labels) or 0


async def test_who_is_turned_away_is_counted_under_the_path_of_the_route(connect: Connect, tmp_path: Path) -> None:
    """As who is let in; whatever names clients make up, they all go under those of the routes, or under none."""
    (file := tmp_path / "keys.toml").touch()
    refused = {"/generate": 1, "/v1/models/{model}": 2, "unmatched": 3}
    before = {path: counted("GET", path, 401) for path in refused}
    leave, gone = counted("OPTIONS", "/generate", 200), counted("GET", "/static", 404)
    async with connect(cors_origins=FRIEND, api_keys_file=file) as client:
        for path in ("generate?caption=a", "v1/models/one", "v1/models/two", "secret1", "v1/secret2", "generate/"):
            assert (await client.get(f"/{path}")).status_code == 401
        assert (await client.get("/static/secret3")).status_code == 404
        assert (await client.options("/generate", headers={"Origin": FRIEND, **LEAVE})).status_code == 200
    assert {path: counted("GET", path, 401) - before[path] for path in refused} == refused
    assert counted("OPTIONS", "/generate", 200) - leave == 1
    assert counted("GET", "/static", 404) - gone == 1
