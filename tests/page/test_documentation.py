"""The documentation's page before a proxy that asks for keys, without a visit of the page that draws."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from proxy import keys
from proxy.keys import Key
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a proxy with keys, and one of them."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    secret = keys.add(file, Key("alice", ""))
    settings = {"api_keys_file": file, "api_keys_in_query": True}
    with running(FakeModelServer()) as server, running_proxy(server.url, **settings) as (url, _, _log):
        yield url, secret


def test_a_key_is_asked_for_and_goes_with_what_is_tried(guarded: tuple[str, str], browser: Browser) -> None:
    """One that cannot be sent is kept back, a wrong one is told; each request says whether it needs one, and how."""
    url, secret = guarded
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{url}/docs")
        field = page.get_by_label("API key", exact=True).last
        expect(page.locator("#banner")).to_contain_text("an API key is needed here")
        expect(field).to_be_focused()
        field.fill("\N{KEY}")
        page.keyboard.press("Enter")
        expect(field).to_have_value("\N{KEY}")
        expect(page.locator("#banner")).to_contain_text("an API key is needed here")
        for given in ("alice.wrong", secret):
            field.fill(given)
            page.keyboard.press("Enter")
            if given != secret:
                expect(page.locator("#banner")).to_contain_text("not valid")
        models = page.get_by_role("region", name="GET /models")
        expect(models).to_contain_text("Needs an API key: as `Authorization: Bearer")
        expect(models).to_contain_text("or in the query, as `api_key=")
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#banner")).to_be_hidden()
        drawing = page.get_by_role("region", name="POST /generate", exact=True)
        expect(drawing).to_contain_text("Needs an API key")
        expect(drawing).not_to_contain_text("api_key=")
        expect(page.get_by_role("region", name="GET /healthz")).not_to_contain_text("Needs an API key")
        models.get_by_text("Try it").click()
        models.get_by_role("button").click()
        expect(models.get_by_role("status")).to_contain_text("emoji")
