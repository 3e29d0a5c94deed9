"""AUTOMATIC1111's API, spoken by a client that was written for it, against a proxy process."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import webuiapi
from PIL import Image

from proxy import infotext
from tests.proxy.conftest import Connect
from tests.proxy.event_stream import Gate, calls, ended, wait_until
from tests.proxy.fake_model_server import PIXELS, FakeModelServer
from tests.proxy.raw import asking

QUICK: dict[str, Any] = {"prompt": "red heart", "steps": 4, "seed": 42, "width": PIXELS, "height": PIXELS}
HOSTILE = 'a "heart"\nNegative prompt: b\nSteps: 3, Seed: 4, Size: 1x2 心'


@pytest.fixture(scope="module")
def proxy_settings() -> dict[str, object]:
    """Those that users have."""
    return {}


@pytest.fixture
def connected(url: str) -> Iterator[Callable[..., webuiapi.WebUIApi]]:
    apis = []

    def connect(**options: str) -> webuiapi.WebUIApi:
        apis.append(webuiapi.WebUIApi(host="127.0.0.1", port=urlsplit(url).port, **options))
        return apis[-1]

    yield connect
    for api in apis:
        api.session.close()


@pytest.fixture
def api(connected: Callable[..., webuiapi.WebUIApi]) -> webuiapi.WebUIApi:
    return connected(sampler="Euler")


@pytest.fixture
def gate(served: FakeModelServer) -> Iterator[Gate]:
    opened = Gate(served)
    yield opened
    opened.let()


def test_a_prompt_becomes_a_picture_that_says_how_it_was_made(api: webuiapi.WebUIApi) -> None:
    result = api.txt2img(**QUICK, negative_prompt="blurry", cfg_scale=7.5, sampler_name="DPM++ 2M Karras", eta=0.3)
    assert result.image.size == (PIXELS, PIXELS)
    written = (
        "red heart\nNegative prompt: blurry\n"
        f"Steps: 4, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 42, Size: {PIXELS}x{PIXELS}, Model: emoji"
    )
    assert result.image.info["parameters"] == written
    assert result.info["infotexts"] == [written]
    assert (result.info["seed"], result.info["all_seeds"], result.info["all_prompts"]) == (42, [42], ["red heart"])
    assert result.parameters["cfg_scale"] == 7.5


def test_the_picture_is_easels(api: webuiapi.WebUIApi, url: str) -> None:
    own = {"caption": "red heart", "steps": 4, "seed": 42, "guidance_scale": 3, "sampler": "ddim"}
    expected = Image.open(io.BytesIO(httpx.get(f"{url}/generate", params=own).content))
    drawn = api.txt2img(**QUICK, cfg_scale=3, sampler_name="DDIM").image
    assert drawn.tobytes() == expected.tobytes()
    assert {name: drawn.info[name] for name in own} == {name: expected.info[name] for name in own}


def test_batches_and_rounds_are_pictures_with_seeds_that_count_up(api: webuiapi.WebUIApi) -> None:
    result = api.txt2img(**QUICK, batch_size=2, n_iter=3)
    assert len(result.images) == 6
    assert result.info["all_seeds"] == [42, 43, 44, 45, 46, 47]
    written = [infotext.fields(image.info["parameters"])["Seed"] for image in result.images]
    assert written == [str(seed) for seed in result.info["all_seeds"]]
    assert result.images[2].tobytes() == api.txt2img(**{**QUICK, "seed": 44}).image.tobytes()


def test_a_seed_of_minus_one_is_drawn(api: webuiapi.WebUIApi) -> None:
    first, second = (api.txt2img(**{**QUICK, "seed": -1}).info["seed"] for _ in range(2))
    assert first != second
    assert api.txt2img(**{**QUICK, "seed": 0}).info["seed"] == 0


def test_a_picture_tells_its_parameters_whatever_the_caption(api: webuiapi.WebUIApi) -> None:
    drawn = api.txt2img(**{**QUICK, "prompt": HOSTILE}, negative_prompt=" green, \n").image
    answer = api.png_info(drawn)
    assert answer.info == drawn.info["parameters"]
    fields = answer.json["parameters"]
    assert (fields["Prompt"], fields["Negative prompt"], fields["Seed"]) == (HOSTILE, " green, \n", "42")
    assert fields["Size-1"] == str(PIXELS)
    assert answer.json["items"]["caption"] == HOSTILE


@pytest.mark.parametrize(
    "name", ["Euler", "euler karras", "k_euler", "DPM++ 2M", "DPM++ 2M Karras", "DDIM", "dpmpp_2m"]
)
def test_a_sampler_has_several_names(api: webuiapi.WebUIApi, name: str) -> None:
    expected = name.lower().removesuffix(" karras").removeprefix("k_").replace("dpmpp_2m", "dpm++ 2m")
    assert api.txt2img(**QUICK, sampler_name=name).info["sampler_name"].lower() == expected


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": ""}, "prompt: received '', allowed is text"),
        ({"steps": 0}, "steps: received 0, allowed is a whole number from 1 to 150"),
        ({"cfg_scale": 51}, "cfg_scale: received 51"),
        ({"seed": -2}, "seed: received -2"),
        ({"sampler_name": "Euler a"}, "sampler_name: received 'Euler a', allowed is one of Euler, DPM++ 2M, DDIM"),
        (
            {"batch_size": 5, "n_iter": 4},
            "batch_size: received 5, allowed is a whole number; 1 to 16 together with n_iter; n_iter: received 4, ",
        ),
        ({"width": 999}, f"width: received 999, allowed is a size of family emoji: {PIXELS}x{PIXELS}"),
        ({"override_settings": {"sd_model_checkpoint": "dream"}}, "override_settings.sd_model_checkpoint: received"),
    ],
)
def test_what_is_asked_wrongly_is_said(api: webuiapi.WebUIApi, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(**{**QUICK, **asked})
    status, answer = caught.value.args
    assert status == 422
    assert said in json.loads(answer)["detail"]


def test_the_client_s_own_defaults_are_refused_with_the_way_out(
    connected: Callable[..., webuiapi.WebUIApi],
) -> None:
    """It sends an ancestral sampler and 512x512 by itself; whoever sends what the messages list gets a picture."""
    api = connected()
    with pytest.raises(
        RuntimeError, match=r"sampler_name: .*Euler a.*, allowed is one of Euler, .*; none is ancestral"
    ):
        api.txt2img(prompt="red heart")
    with pytest.raises(RuntimeError, match=f"width: received 512, .*: {PIXELS}x{PIXELS}; height: received 512, "):
        api.txt2img(prompt="red heart", sampler_name="Euler")
    drawn = api.txt2img(prompt="red heart", sampler_name="Euler", width=PIXELS, height=PIXELS)
    assert drawn.image.size == (PIXELS, PIXELS)


def test_progress_goes_from_nothing_to_nothing(api: webuiapi.WebUIApi, url: str, gate: Gate) -> None:
    """Whoever needs no picture of it can leave that out."""
    assert (api.get_progress()["progress"], api.get_progress()["state"]["job_count"]) == (0, 0)
    seen, shown, left = [], [], []
    settings = {"show_progress_every_n_steps": 5}
    with ThreadPoolExecutor() as pool:
        drawing = pool.submit(api.txt2img, **{**QUICK, "steps": 60}, override_settings=settings)
        while not drawing.done():
            answer = api.get_progress()
            if not seen or answer["progress"] != seen[-1]:
                gate.let(1)
            seen.append(answer["progress"])
            shown.append(answer["current_image"])
            left.append(answer["eta_relative"])
            without = httpx.get(f"{url}/sdapi/v1/progress", params={"skip_current_image": True}).json()
            assert without["current_image"] is None
        assert drawing.result().image.size == (PIXELS, PIXELS)
    rising = seen[: seen.index(max(seen)) + 1]
    assert rising == sorted(rising)
    assert len(set(seen)) > 3
    assert 0.5 < max(seen) <= 1
    assert 0 < max(left) < 60
    (first, *_) = [image for image in shown if image]
    assert Image.open(io.BytesIO(base64.b64decode(first))).size == (PIXELS, PIXELS)
    api.util_wait_for_ready()


def test_an_interrupt_ends_the_callers_own_work_only(connected: Callable[..., webuiapi.WebUIApi], gate: Gate) -> None:
    """Callers of one address differ by their credentials."""
    mine, yours = (connected(sampler="Euler", username=name, password=name) for name in ("me", "you"))
    with ThreadPoolExecutor() as pool:
        kept = pool.submit(yours.txt2img, **{**QUICK, "steps": 60})
        wait_until(lambda: yours.get_progress()["state"]["job_count"] == 1)
        assert mine.get_progress()["state"]["job_count"] == 0
        ended = pool.submit(mine.txt2img, **{**QUICK, "steps": 150})
        wait_until(lambda: mine.get_progress()["state"]["job_count"] == 1)
        assert mine.interrupt() == {}
        gate.let()
        with pytest.raises(RuntimeError, match="the request was cancelled"):
            ended.result()
        wait_until(lambda: mine.get_progress()["state"]["job_count"] == 0)
        assert kept.result().image.size == (PIXELS, PIXELS)


def test_work_of_another_address_is_out_of_reach(url: str, gate: Gate) -> None:
    """Without credentials too."""
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with (
        httpx.Client(base_url=f"{url}/sdapi/v1") as client,
        httpx.Client(base_url=f"{url}/sdapi/v1", transport=elsewhere) as stranger,
        ThreadPoolExecutor() as pool,
    ):
        drawing = pool.submit(client.post, "/txt2img", json={**QUICK, "steps": 60})
        wait_until(lambda: client.get("/progress").json()["state"]["job_count"] == 1)
        assert stranger.get("/progress").json()["state"]["job_count"] == 0
        stranger.post("/interrupt").raise_for_status()
        gate.let()
        assert drawing.result().status_code == 200


def test_work_with_a_name_is_reached_by_its_name(url: str, gate: Gate, served: FakeModelServer) -> None:
    named = {"force_task_id": "mine"}
    with httpx.Client(base_url=f"{url}/sdapi/v1") as client, ThreadPoolExecutor() as pool:

        def count(**params: str) -> int:
            found: int = client.get("/progress", params=params).json()["state"]["job_count"]
            return found

        drawing = pool.submit(client.post, "/txt2img", json={**QUICK, "steps": 150, **named})
        wait_until(lambda: calls(served, "diffusion_model") == 1)
        assert count(**named) == 1
        assert count() == count(force_task_id="other") == 0
        client.post("/interrupt")
        gate.let(1)
        wait_until(lambda: calls(served, "diffusion_model") == 2)
        assert count(**named) == 1
        client.post("/interrupt", params=named)
        gate.let()
        assert drawing.result().status_code == 499


def test_a_client_that_leaves_stops_the_work(url: str, gate: Gate, served: FakeModelServer) -> None:
    with ended(url, "abandoned"):
        with asking(url, "POST", "/sdapi/v1/txt2img", json={**QUICK, "steps": 150}):
            wait_until(lambda: calls(served, "diffusion_model") == 1)
        time.sleep(0.5)  # until the proxy knows; if that takes longer, it makes some calls more
        gate.let()
    assert calls(served, "decoder") == 0
    assert httpx.get(f"{url}/sdapi/v1/progress").json()["state"]["job_count"] == 0


def test_samplers_models_and_options_are_listed(api: webuiapi.WebUIApi) -> None:
    assert api.util_get_sampler_names() == ["DDIM", "DPM++ 2M", "Euler"]
    assert api.util_get_model_names() == ["emoji"]
    assert api.util_get_current_model() == "emoji"
    assert "override_settings" in api.set_options({"sd_model_checkpoint": "dream"})["detail"]
    assert api.session.post(f"{api.baseurl}/options", json={}).status_code == 405
    assert api.session.get(f"{api.baseurl}/loras").json()["detail"] == "Not Found"


async def test_pictures_may_be_left_out_and_nulls_are_defaults(connect: Connect) -> None:
    body = {
        "prompt": "a",
        "send_images": False,
        "sampler_name": None,
        "sampler_index": "DDIM",
        "override_settings": None,
    }
    async with connect() as client:
        answer = (await client.post("/sdapi/v1/txt2img", json=body)).json()
    assert answer["images"] == []
    assert json.loads(answer["info"])["sampler_name"] == "DDIM"
