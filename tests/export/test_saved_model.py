"""What an exported version weighs, and who can load it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from export.saved_model import stored_bytes, weight_bytes
from tests.export.conftest import SmallExport


def test_every_weight_is_stored_once(small_export: SmallExport) -> None:
    """The variables' files hold 4 bytes a parameter and at most 2 % more, for all signatures and sizes together."""
    for role, model in small_export.keras.items():
        variables = stored_bytes(small_export.path(role) / "variables")
        shapes_and_names = 200 * len(model.variables)  # of which only networks as small as these notice anything
        assert model.count_params() * 4 <= variables <= model.count_params() * 4 * 1.02 + shapes_and_names
        assert weight_bytes(model) == model.count_params() * 4


def test_the_report_counts_what_is_on_disk(small_export: SmallExport) -> None:
    """Parameters and bytes that the export reports are the network's and the folder's."""
    for role, report in small_export.exported.items():
        assert report.name == f"small_{role}"
        assert report.parameters == small_export.keras[role].count_params()
        extra = (small_export.path(role) / "assets.extra" / "export.json").stat().st_size
        assert report.bytes + extra == stored_bytes(small_export.path(role))


def test_python_can_load_it_too(small_export: SmallExport) -> None:
    """`tf.saved_model.load` gives the same answers as the session of a server."""
    loaded = tf.saved_model.load(str(small_export.path("text_encoder")))
    tokens = tf.fill([1, 77], 49407)
    context = loaded.signatures["serving_default"](tokens=tokens)["context"]
    expected = small_export.keras["text_encoder"].predict_on_batch([tokens, tf.range(77)[tf.newaxis]])
    np.testing.assert_allclose(context, expected, rtol=0, atol=1e-5)
