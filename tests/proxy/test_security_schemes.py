"""/openapi.json says which requests need an API key, and how it is sent: so it is, and no other way."""

from pathlib import Path

import pytest

from proxy import keys
from proxy.keys import Key
from tests.proxy.operations import API, OPERATIONS, Operation
from tests.proxy.test_description import Asked, asked, connected

KEY_IS_ASKED_FOR = 401


def security(api: dict[str, object], operation: Operation) -> list[str]:
    """The schemes by which an operation takes a key; any one will do, and without any it takes none."""
    said = api["paths"][operation.path][operation.method.lower()]  # type: ignore[index]
    needed: list[dict[str, list[str]]] = said.get("security", [])
    assert all(len(scheme) == 1 for scheme in needed)
    return [name for scheme in needed for name in scheme]


def sent(request: Asked, scheme: str, key: str) -> Asked:
    """The request with the key, as a scheme has it."""
    place = {"bearer": ("header", "Authorization"), "query": ("query", "api_key")}[scheme]
    return Asked(request.operation, request.values | {place: f"Bearer {key}" if scheme == "bearer" else key})


@pytest.mark.parametrize("in_query", [False, True])
async def test_a_key_is_taken_as_it_is_described(tmp_path: Path, in_query: bool) -> None:
    """Every operation is tried without a key, and with one in each place."""
    file = tmp_path / "keys.toml"
    key = keys.add(file, Key("alice", ""))
    async with connected(api_keys_file=file, api_keys_in_query=in_query) as client:
        api = (await client.get("/openapi.json", headers={"Authorization": f"Bearer {key}"})).json()
        schemes = api["components"]["securitySchemes"]
        assert schemes["bearer"].items() >= {"type": "http", "scheme": "bearer"}.items()
        assert not in_query or schemes["query"].items() >= {"type": "apiKey", "in": "query", "name": "api_key"}.items()
        assert schemes.keys() == ({"bearer", "query"} if in_query else {"bearer"})
        for operation in OPERATIONS:
            needed, request = security(api, operation), asked(operation)
            answer = await request.send(client)
            assert (answer.status_code == KEY_IS_ASKED_FOR) == bool(needed), operation
            for scheme in ("bearer", "query") if needed else ():
                answer = await sent(request, scheme, key).send(client)
                assert (answer.status_code != KEY_IS_ASKED_FOR) == (scheme in needed), (str(operation), scheme)
    open_to_all = [operation.path for operation in OPERATIONS if not security(api, operation)]
    assert open_to_all == ["/healthz", "/readyz"]


def test_without_keys_none_is_described() -> None:
    assert "securitySchemes" not in API["components"]
    assert not any(security(API, operation) for operation in OPERATIONS)
