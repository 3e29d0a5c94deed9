"""Over a real proxy process: what callers send ends up neither in a header, a line of the log, HTML, nor an address."""

import io
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import httpx
import pytest
from PIL import Image

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy
from tests.proxy.raw import exchange, get

CAPTIONS = [
    "a\r\nINJECTED: x\r\n\r\n<html>",
    "a\n\n\rINJECTED: x",
    "a\x85INJECTED\u2028INJECTED\x0bINJECTED",
    "\x1b[31mred\x1b]0;title\x07\x9b31m",
    '<script>alert(1)</script><img src=x onerror="alert(1)">',
    "\u202egnp.exe\u2066\u200f",
    "nul\0nul",
    "%0d%0aINJECTED: x",
    "'; DROP TABLE x; -- ${jndi:ldap://x} {{7*7}} $(id) `id`",
    "cat " * 80 + "\r\nINJECTED: x\x1b[31m\u202e心",
    "\N{DUCK}" * 1_875,
]
NAMES = [
    "../emoji",
    "emoji/../../x",
    "..%2f..%2fx",
    "emoji%2f..",
    "emoji/versions/1",
    "emoji:predict",
    "emoji_decoder",
    "emoji?x=",
    "emoji#",
    "@evil:80/",
    "//evil/x",
    "http://evil/",
    "a\r\nb",
    "\0",
]
HEADER = re.compile(rb"[A-Za-z-]+: [\x20-\x7e]*")
ADDRESSES = re.compile(r"/v1/models/emoji_(text_encoder|diffusion_model|decoder)(/metadata|:predict)?")


@pytest.fixture(scope="module")
def attacked() -> Iterator[tuple[str, FakeModelServer]]:
    """A proxy and its model server; at the end, nobody must have written into its log, or chosen an address."""
    fake = FakeModelServer()
    with running(fake) as server:
        with running_proxy(server.url) as (url, _, log):
            yield url, fake
        assert not [path for _, path, _ in fake.calls if not ADDRESSES.fullmatch(path)]
    for line in log:
        text = line.rstrip("\n")
        assert text.isascii()
        assert text.isprintable()
        assert not text.startswith("INJECTED")
        assert "Traceback" not in text


@pytest.fixture
def url(attacked: tuple[str, FakeModelServer]) -> Iterator[str]:
    yield attacked[0]
    attacked[1].override = lambda _method, _path: None


def post(url: str, path: str, body: object) -> tuple[list[bytes], bytes]:
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return exchange(url, head.encode() + b"Content-Length: %d\r\n\r\n" % len(sent) + sent)


def check(head: list[bytes], body: bytes, *, status: bytes = b"200", kind: bytes = b"application/json") -> bytes:
    """The body of an answer whose head has nothing in it but headers of ours."""
    assert head[0].startswith(b"HTTP/1.1 " + status)
    for line in head[1:]:
        assert HEADER.fullmatch(line), line
    names = [line.partition(b":")[0].lower() for line in head[1:]]
    assert b"injected" not in names
    assert len(set(names)) == len(names)
    assert b"content-type: " + kind in head[1:]
    assert b"X-Content-Type-Options: nosniff".lower() in [line.lower() for line in head[1:]]
    return body


@pytest.mark.parametrize("caption", CAPTIONS)
def test_a_picture_keeps_a_hostile_caption_to_itself(url: str, caption: str) -> None:
    """It is in the file's text, whole and under its own name; in headers only as percent-encoded ASCII."""
    asked = {"caption": caption, "negative_caption": caption, "steps": 1}
    body = check(*get(url, f"/generate?{urlencode(asked)}".encode()), kind=b"image/png")
    text = Image.open(io.BytesIO(body)).text  # type: ignore[attr-defined]
    assert (text["caption"], text["negative_caption"]) == (caption, caption)
    assert "INJECTED" not in text
    for path in ("/generate", "/sdapi/v1/txt2img", "/v1/images/generations"):
        said = json.loads(check(*post(url, path, asked | {"prompt": caption} if path != "/generate" else asked)))
        found = re.search(r"iVBOR[\w+/=]+", json.dumps(said))
        assert found
        text = Image.open(io.BytesIO(b64decode(found[0]))).text  # type: ignore[attr-defined]
        assert text["caption"] == caption
        if path.startswith("/v1"):
            assert re.fullmatch(r"http://e/generate\?[\x21-\x7e]+", said["data"][0]["url"])


@pytest.mark.parametrize("caption", CAPTIONS)
@pytest.mark.parametrize("file_format", ["jpeg", "webp"])
def test_other_formats_do_too(url: str, caption: str, file_format: str) -> None:
    query = urlencode({"caption": caption, "steps": 1, "format": file_format})
    body = check(*get(url, f"/generate?{query}".encode()), kind=f"image/{file_format}".encode())
    assert json.loads(Image.open(io.BytesIO(body)).getexif()[0x010E])["caption"] == caption


@pytest.mark.parametrize("caption", CAPTIONS)
def test_json_and_events_hold_it_as_json(url: str, caption: str) -> None:
    """No line of an event, and no line of JSON, begins where the caption has one."""
    query = urlencode({"caption": caption, "steps": 1})
    assert json.loads(check(*get(url, f"/tokens?{query.removesuffix('&steps=1')}".encode())))["most"]
    events = check(*get(url, f"/generate/events?{query}".encode()), kind=b"text/event-stream; charset=utf-8")
    lines = events.split(b"\r\n\r\n")[-1].splitlines()
    assert not [line for line in lines if line.lstrip().startswith(b"INJECTED")]
    for where in ("family", "sampler", "format", "width", caption):
        wrong = urlencode({"caption": "x", where: caption})
        said = check(*get(url, f"/generate?{wrong}".encode()), status=b"422")
        assert b"\n" not in said
        assert json.loads(said)["error"]["details"]


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_chooses_where_requests_go(url: str, attacked: tuple[str, FakeModelServer], name: str) -> None:
    """A family that is not served is refused everywhere, and nothing is asked for it."""
    attacked[1].calls.clear()
    quoted = quote(name, safe="")
    check(*get(url, f"/generate?caption=x&family={quoted}".encode()), status=b"422")
    check(*get(url, f"/generate/events?caption=x&family={quoted}".encode()), status=b"422")
    check(*post(url, "/generate", {"caption": "x", "family": name}), status=b"422")
    check(*post(url, "/v1/images/generations", {"prompt": "x", "model": name}), status=b"404")
    check(*get(url, f"/v1/models/{quoted}".encode()), status=b"404")
    override = {"sd_model_checkpoint": name}
    check(*post(url, "/sdapi/v1/txt2img", {"prompt": "x", "override_settings": override}), status=b"422")
    check(*get(url, f"/generate/cancel?job={quoted}".encode()), status=b"404")
    assert attacked[1].calls == []


@pytest.mark.parametrize(
    "target",
    [
        b"/%0d%0aINJECTED:%20x",
        b"/v1/models/%0d%0aINJECTED:%20x/",
        b"/models/%0d%0aINJECTED",
        b"/<script>alert(1)</script>",
        b"/static/%00",
        b"/static/%0d%0aINJECTED",
        b"/static/" + b"x" * 5_000,
        b"/%1b[31m",
        b"/%ff%fe",
        b"//evil.example/%2e%2e",
        b"http://evil.example/v1/models",
    ],
)
def test_a_hostile_path_is_an_error_like_others(url: str, target: bytes) -> None:
    assert json.loads(check(*get(url, target), status=b"404"))


def test_hostile_headers_are_repeated_nowhere(url: str) -> None:
    """What may not stand in a header is refused; what may is in no answer, and no line of the log."""
    hostile = [
        b"Last-Event-ID: \x1b[31m<b>",
        b"Authorization: Bearer \x1b[31m",
        b"Accept: \xff\x1b",
        b"Origin: \x1b[31m",
    ]
    head, body = get(url, b"/generate/cancel?job=x", *hostile, b"User-Agent: \x1b[31m", b"X-Forwarded-For: \x1b[31m")
    assert b"\x1b" not in b"".join(head) + check(head, body, status=b"404")
    head, _ = get(url, b"/healthz", b"X-Nul: \0")
    assert head[0].startswith(b"HTTP/1.1 400 ")


def test_what_a_model_server_says_is_quoted_in_the_log(url: str, attacked: tuple[str, FakeModelServer]) -> None:
    """It may repeat what it was sent."""
    said = "\x1b[31mred\r\nINJECTED\u2028INJECTED".encode()
    attacked[1].override = lambda _, path: (500, said) if path.endswith("decoder:predict") else None
    check(*get(url, b"/generate?caption=x&steps=1"), status=b"502")


async def test_a_model_server_sends_nobody_elsewhere(fake: FakeModelServer) -> None:
    """A redirect is an answer that is not understood; nobody goes where it points."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        if "decoder" in request.url.path and request.method == "POST":
            return httpx.Response(307, headers={"Location": "http://evil.example/"})
        return fake.transport().handle_request(request)

    app = create_app(Settings(), httpx.MockTransport(answer))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://e")
    async with app.router.lifespan_context(app), client:
        assert (await client.get("/generate", params={"caption": "x", "steps": 1})).status_code == 502
    assert set(seen) == {"127.0.0.1"}


def test_a_link_for_openais_clients_names_the_host_that_was_asked(url: str) -> None:
    """However the Host header is written, the link is one address and nothing else."""
    assert httpx.get(f"{url}/healthz", headers={"Host": "e"}).status_code == 200
    sent = json.dumps({"prompt": "x", "steps": 1, "response_format": "url"}).encode()
    head = b'POST /v1/images/generations HTTP/1.1\r\nHost: e/"><b>\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
    lines, body = exchange(url, head % len(sent) + sent)
    assert lines[0][9:12] in (b"200", b"400")
    assert b"<b>" not in body
