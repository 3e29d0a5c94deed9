"""The proxy, asked as its own description says and otherwise: every answer is described, and none is a 500."""

from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.share import COUNTS, LONG, share
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NAMES = {
    *("family", "width", "height", "model", "size", "last-event-id"),
    *("sampler_name", "sampler_index", "override_settings"),
}
MOST_SECONDS = 60
LEAST_EXAMPLES = 5000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A real proxy over the fake model server."""
    with running(FakeModelServer()) as server:
        with running_proxy(server.url) as (url, _, log):
            yield url
        assert not any("Traceback" in line for line in log), "".join(log)


def test_every_answer_is_described(address: str) -> None:
    """By status, media type, headers and schema, for every operation."""
    described = schemathesis.openapi.from_url(f"{address}/openapi.json")
    with requests.Session() as session:
        for found in described.get_all_operations():
            for mode in GenerationMode:
                ask(found.ok(), mode, session)
    assert not LONG or sum(count for name, count in COUNTS.items() if name.startswith("described")) >= LEAST_EXAMPLES


def ask(operation: Any, mode: GenerationMode, session: requests.Session) -> None:
    """Send examples that fit the description, or that do not, where there are such."""

    @settings(settings.get_profile("fuzz"), max_examples=share(5, 280))
    @given(case=operation.as_strategy(generation_mode=mode), is_served=st.booleans())
    def examples(case: schemathesis.Case, is_served: bool) -> None:
        if is_served:
            leave_out_names(case)
        response = case.call(session=session, timeout=MOST_SECONDS)
        case.validate_response(response, checks=CHECKS, excluded_checks=excluded(case, response.status_code))
        COUNTS[f"described: {mode.value} requests answered {response.status_code}"] += 1

    with suppress(Unsatisfiable):
        examples()


def excluded(case: schemathesis.Case, status: int) -> list[Any]:
    """A request that gave itself too little time is rightly a 504."""
    places = [where for where in (case.query, case.body) if isinstance(where, MutableMapping)]
    own_deadline = any("deadline_seconds" in where for where in places)
    return [not_a_server_error] if status == requests.codes.gateway_timeout and own_deadline else []


def leave_out_names(case: schemathesis.Case) -> None:
    """Ask for no family, size or job, of which the description does not say which there are."""
    for where in (case.query, case.headers, case.body):
        if isinstance(where, MutableMapping):
            for name in NAMES & set(where):
                del where[name]
