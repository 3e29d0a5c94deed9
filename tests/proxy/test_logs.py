"""One line a record, whatever is in it; one record a request; and whose records they are."""

import json
import logging
import sys

import httpx
import pytest

from proxy.logs import REQUEST_ID, Format, Json, Text
from tests.proxy.event_stream import watching
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

HOSTILE = 'red\nINFO proxy: forged\r\x1b[2K\u2028"}\n{"level": "info"}\u202e\x85\ud800'


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    raised = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("proxy", logging.INFO, __file__, 1, "%s", (message,), raised)


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)  # noqa: TRY301
    except ValueError as error:
        return error


@pytest.mark.parametrize("form", [Text, Json])
def test_a_hostile_caption_stays_in_its_line(form: type[logging.Formatter]) -> None:
    """No line break, no control character and no change of direction is left, in no way in which lines are split."""
    line = form().format(record(HOSTILE))
    assert line.isprintable()
    assert line.splitlines() == [line]
    line.encode()


def test_json_gives_back_what_it_was_given() -> None:
    """The message is whole, with its level, its logger, its time, its fields and its error."""
    given = record(HOSTILE, raised(HOSTILE))
    given.fields = {"status": 200}
    entry = json.loads(Json().format(given))
    assert entry["message"] == HOSTILE
    assert (entry["level"], entry["logger"], entry["status"]) == ("info", "proxy", 200)
    assert entry["time"].endswith("+00:00")
    assert "raise ValueError" in entry["exception"]


def test_a_traceback_cannot_be_taken_for_records() -> None:
    """In text, each of its lines is indented, also those that an error's message brought."""
    first, *others = Text().format(record("failed", raised(HOSTILE))).split("\n")
    assert first == "INFO proxy: failed"
    assert all(line.startswith("  | ") and line.isprintable() for line in others)
    assert any("raise ValueError" in line for line in others)


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_of_a_real_proxy_is_a_record(form: Format) -> None:
    """A request is one line, without what it asked for; what a model server answers cannot forge another."""
    fake = FakeModelServer()
    with running(fake) as server, running_proxy(server.url, log_format=form) as (url, _, log):
        ids = {"X-Request-ID": "good-1"}
        httpx.get(f"{url}/generate", params={"caption": "a secret" + HOSTILE[:-1]}, headers=ids).raise_for_status()
        with watching(url, caption="a secret") as events:
            assert [event.name for event in events][-1] == "result"
        fake.override = lambda _, path: (400, HOSTILE[:-1].encode()) if path.endswith("decoder:predict") else None
        httpx.get(f"{url}/generate", params={"caption": "a secret"}, headers={"X-Request-ID": "bad-1"})
        httpx.get(f"{url}/nowhere?caption=secret")
    assert not any("secret" in line for line in log)
    good, bad = ([line for line in log if name in line] for name in ("good-1", "bad-1"))
    assert len(good) == 1
    assert len(bad) == 2, "the model server's answer, and the request"
    if form == "text":
        assert all(line.split()[0] in ("INFO", "WARNING") for line in log)
        assert good[0].startswith("INFO proxy.api.watching: GET /generate 200 in ")
        return
    entries = [json.loads(line) for line in log]
    assert {entry["level"] for entry in entries} == {"info", "warning"}
    requests = [entry for entry in entries if entry["logger"] == "proxy.api.watching" and entry["path"] != "/healthz"]
    seen = [(entry["method"], entry["path"], entry["status"]) for entry in requests]
    generate = ("GET", "/generate", 200)
    assert seen == [generate, ("GET", "/generate/events", 200), ("GET", "/generate", 502), ("GET", "unmatched", 404)]
    assert all(entry["caller"] == "127.0.0.1" and 0 < entry["seconds"] < 60 for entry in requests)
    assert len({entry["request_id"] for entry in requests}) == 4


def test_outside_of_requests_there_is_no_id() -> None:
    assert "[" not in Text().format(record("started"))
    assert "request_id" not in json.loads(Json().format(record("started")))
    token = REQUEST_ID.set("one")
    assert Text().format(record("during")).endswith(" [one]")
    REQUEST_ID.reset(token)


def test_warnings_of_a_job_carry_the_id_of_the_request_that_began_it() -> None:
    """Though a task of its own draws, and other requests come back to it."""
    fake = FakeModelServer()
    with running(fake) as server, running_proxy(server.url, log_format="json") as (url, _, log):
        fake.override = lambda _, path: (400, b"no") if path.endswith("decoder:predict") else None
        with watching(url) as events:
            assert [event.name for event in events][-1] == "error"
    entries = [json.loads(line) for line in log]
    [warning] = [entry for entry in entries if entry["level"] == "warning"]
    [request] = [entry for entry in entries if entry.get("path") == "/generate/events"]
    assert warning["request_id"] == request["request_id"]
    assert sys.getsizeof(warning["message"]) < 2000
