"""What a real TensorFlow Serving answered, this server answers too."""

import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.model_server.server_process import ServerProcess

CASES = json.loads((Path(__file__).parent / "recorded" / "cases.json").read_text())
# Past these, a message holds pretty-printed JSON or node names, which are not part of the contract.
LOOSE_TAIL = re.compile(r"\n|JSON (?:Value|object): [\[{]")


def canonical(value: Any) -> Any:
    """The value with floats rounded to seven digits and NaN equal to itself."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "NaN" if math.isnan(value) else float(f"{value:.6e}")
    return value


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_recorded_exchange(case: dict[str, Any], server: ServerProcess) -> None:
    """Status, JSON and the head of error messages equal the record."""
    body = case["body"].encode() if case["body"] is not None else None
    headers = {"Content-Type": "application/json", **case["headers"]}
    if case["gzip"] and body is not None:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    answer = server.request(case["method"], case["path"], body, headers)
    expected = case["response"]
    assert answer.status == expected["status"], answer.body
    assert answer.headers["Content-Type"].startswith(expected["content_type"])
    if case["compare"] == "status":
        return
    wanted = json.loads(expected["body"])
    if "error" in wanted:
        assert LOOSE_TAIL.split(answer.error)[0].strip() == LOOSE_TAIL.split(wanted["error"])[0].strip()
    else:
        assert canonical(answer.json) == canonical(wanted)
