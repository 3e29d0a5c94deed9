"""The wire's codec: arrays come back as they went, and anything else is a ValueError, soon."""

import json
import random
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from proxy import wire
from tests.fuzz import json_noise
from tests.fuzz.share import COUNTS, FIGURES, SEED, share

# Of the processor's, a megabyte: some bodies have twenty.
MOST_SECONDS = 1.0
TYPES = (np.float32, np.float16, np.float64, np.int32, np.int64, np.uint8)
ORDERS = st.sampled_from("<>=")
SHAPES = arrays.array_shapes(min_dims=2, max_dims=5, min_side=0, max_side=6)


@settings(settings.get_profile("fuzz"), max_examples=share(300, 10_000))
@given(st.data(), st.sampled_from(TYPES), SHAPES, ORDERS)
def test_every_array_comes_back(
    data: st.DataObject, dtype: type[np.generic], shape: tuple[int, ...], order: str
) -> None:
    """Of any shape, byte order and layout; numbers that are not finite are refused."""
    sent = data.draw(arrays.arrays(np.dtype(dtype).newbyteorder(order), shape))
    if data.draw(st.booleans()):
        sent = sent[:, ::-1]
    body = json.dumps({"outputs": {"a": [wire.raw(row) for row in sent], "b": 1}}).encode()
    column = wire.columns(body, ["a", "b"])["a"]
    COUNTS["wire: arrays sent"] += 1
    if not np.isfinite(sent.astype(np.float64)).all():
        with pytest.raises(ValueError, match="not finite"):
            wire.array(column, dtype, sent.shape)
        return
    received = wire.array(column, dtype, sent.shape)
    assert received.dtype == dtype
    np.testing.assert_array_equal(received, sent)


def good(chance: random.Random) -> tuple[dict[str, Any], type[np.generic], tuple[int, ...]]:
    dtype, shape = chance.choice(TYPES), tuple(chance.randrange(4) for _ in range(chance.randrange(1, 4)))
    rows = np.zeros(shape, dtype)
    return {"outputs": {"a": [wire.raw(np.atleast_1d(row)) for row in rows], "b": [1, 2]}}, dtype, shape


def test_bad_bodies_are_value_errors_soon() -> None:
    chance = random.Random(f"wire {SEED}")
    slowest = 0.0
    for _ in range(share(3000, 100_000)):
        answer, dtype, shape = good(chance)
        body = json_noise.body(chance, answer)
        names = chance.choice([["a"], ["a", "b"], ["b"], ["outputs"]])
        start = time.thread_time()
        try:
            column = wire.columns(body, names)[names[0]]
            if chance.random() < 0.7:
                wire.array(column, dtype, shape)
            else:
                wire.opaque_row(column, chance.choice([0, 1, 2]))
            COUNTS["wire: mutated bodies that are read"] += 1
        except ValueError:
            COUNTS["wire: mutated bodies that are refused"] += 1
        slowest = max(slowest, (time.thread_time() - start) / max(1, len(body) / 1e6))
    assert slowest < MOST_SECONDS
    FIGURES.append(f"wire: at most {slowest * 1000:.1f} ms a body, or a megabyte of one")
