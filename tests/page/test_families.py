"""The chooser, where more than one family is served."""

from __future__ import annotations

import json
from functools import partial

from playwright.sync_api import Route, expect

from tests.page.conftest import Visit
from tests.page.face import Face
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

TIMES = "\N{MULTIPLICATION SIGN}"


def choices(face: Face, name: str) -> list[str]:
    return face.page.locator(f"#{name} option").all_text_contents()


def examples(face: Face) -> list[str]:
    return face.page.locator("#examples button").all_text_contents()


def describe(_: str, path: str) -> tuple[int, bytes] | None:
    """What the text encoders say of themselves, and their families' other networks with 2,000 parameters."""
    family, network = path.removeprefix("/v1/models/").split("_", 1)
    said = {"emoji": ("red heart", 13_700_000), "small": ("a small thing", 1_730_000)}[family]
    answer = json.dumps({"examples": [said[0]], "parameters": said[1] - 2000})
    return (200, json.dumps({"outputs": [answer]}).encode()) if network == "text_encoder:predict" else None


def test_two_families_can_be_chosen_between(visit: Visit) -> None:
    """Each brings its sizes, its examples and its count of parameters; a picture remembers which drew it."""
    fake = FakeModelServer()
    small = FakeModelServer("small", ((64, 64), (96, 32)))
    fake.models |= small.models
    fake.versions |= small.versions
    fake.states |= small.states
    fake.override = describe
    with (
        running(fake) as server,
        running_proxy(server.url, families="emoji,small") as (url, _, _),
        visit(url) as face,
    ):
        face.open()
        fake.override = lambda _method, _path: None
        assert choices(face, "family") == ["emoji", "small"]
        assert choices(face, "size") == [f"32 {TIMES} 32"]
        assert examples(face) == ["red heart"]
        expect(face.page.locator("#family-line")).to_have_text("emoji, 13.7 million parameters")
        face.draw("a thing", family="small", size="96x32", steps=2, seed=5)
        face.drawn(1)
        expect(face.page.locator("#family-line")).to_have_text("small, 1.73 million parameters")
        assert choices(face, "size") == [f"64 {TIMES} 64", f"96 {TIMES} 32"]
        assert examples(face) == ["a small thing"]
        assert face.pictures.first.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [96, 32]
        face.draw("red heart", family="emoji")
        face.drawn(2)
        face.pictures.last.click()
        expect(face.page.locator("#viewer-parameters")).to_contain_text(f"Size96 {TIMES} 32Familysmall")
        face.page.get_by_role("button", name="Use these settings").click()
        expect(face.page.locator("#family")).to_have_value("small")
        expect(face.page.locator("#size")).to_have_value("96x32")
        assert examples(face) == ["a small thing"]


def test_a_lone_family_is_no_choice(face: Face) -> None:
    face.open()
    face.page.locator("#settings summary").click()
    expect(face.page.locator("#family")).to_be_hidden()
    expect(face.page.locator("#size")).to_be_visible()


def test_a_family_that_is_gone_is_said_where_it_is_seen(face: Face) -> None:
    """Its pictures can still be looked at; what else they need is taken from what there is."""
    parameters = {"caption": "old", "steps": 1, "seed": 1, "family": "gone", "width": 8, "height": 8}
    face.open()
    face.page.evaluate(
        """(parameters) => new Promise((resolve) => {
        indexedDB.open("easel", 1).onsuccess = ({ target: { result } }) => {
            const adding = result.transaction("pictures", "readwrite");
            adding.objectStore("pictures").add({ id: "1", drawn: 1, parameters, file: new Blob(["<svg/>"]) });
            adding.oncomplete = resolve;
        };
    })""",
        parameters,
    )
    face.page.reload()
    face.page.get_by_role("button", name="old").click()
    face.page.get_by_role("button", name="Again with another seed").click()
    expect(face.page.locator("#failure")).to_contain_text("gone")
    expect(face.page.locator("#failure")).to_be_in_viewport()
    face.page.get_by_role("button", name="old").click()
    face.page.get_by_role("button", name="Use these settings").click()
    for name, value in (("family", "emoji"), ("size", "128x128"), ("steps", "1")):
        expect(face.page.locator(f"#{name}")).to_have_value(value)


def test_large_and_unknown_families_are_said_in_few_words(face: Face) -> None:
    """Stable Diffusion has a thousand million parameters; some models do not say how many, or what suits them."""
    for count, said in ((1_066_235_307, "emoji, 1.07 billion parameters"), (None, "emoji")):
        face.page.route("**/models", partial(_with_count, count))
        face.open()
        expect(face.page.locator("#family-line")).to_have_text(said)
        expect(face.page.locator("#examples")).to_be_hidden()


def _with_count(count: int | None, route: Route) -> None:
    catalogue = route.fetch().json()
    catalogue["families"][0] |= {"parameters": count, "examples": []}
    route.fulfill(content_type="application/json", body=json.dumps(catalogue))
