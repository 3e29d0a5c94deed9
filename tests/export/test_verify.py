"""Verification finds every way in which a SavedModel can differ from its Keras network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.errors import VerificationError
from export.probes import probes
from export.verify import TOLERANCES, Expectation, verify
from tests.export.conftest import SIZES, SmallExport
from tests.export.served import ServedModel
from tests.export.small import WIDTH

Change = Callable[[Expectation], Expectation]


@pytest.fixture(scope="module")
def expectations(small_export: SmallExport) -> dict[str, list[Expectation]]:
    """What the Keras networks of the small family answer, by role."""
    return {
        role: [Expectation(p.signature, p.inputs, p.compute()) for p in probes(role, model, WIDTH, SIZES)]
        for role, model in small_export.keras.items()
    }


def description(served: dict[str, ServedModel], role: str) -> dict[str, Any]:
    """Return what the served model says of itself."""
    answer = served[role].call("describe", key=np.array([b""], dtype=object))["description"][0]
    described: dict[str, Any] = json.loads(answer)
    return described


@pytest.mark.parametrize("role", ["text_encoder", "diffusion_model", "decoder"])
def test_a_right_model_passes(
    small_export: SmallExport, served: dict[str, ServedModel], expectations: dict[str, list[Expectation]], role: str
) -> None:
    """The exported model is verified in every signature, and differs by rounding only."""
    seen: list[str] = []
    asked = expectations[role]
    difference = verify(small_export.path(role), asked, description(served, role), TOLERANCES["float32"], seen.append)
    assert difference < (5e-3 if role == "decoder" else 1e-5)
    assert {*seen, "describe"} == set(served[role].signatures) - {"__saved_model_init_op"}


def _outputs(**outputs: Any) -> Change:
    return lambda e: replace(e, outputs={name: outputs.get(name, value) for name, value in e.outputs.items()})


def _nudged(expectation: Expectation) -> Expectation:
    name, value = next(iter(expectation.outputs.items()))
    changed = value.copy()
    changed.flat[0] += 0.01 * np.abs(value).max()
    return _outputs(**{name: changed})(expectation)


def _not_finite(expectation: Expectation) -> Expectation:
    return _outputs(noise=np.full_like(expectation.outputs["noise"], np.nan))(expectation)


@pytest.mark.parametrize(
    ("signature", "change", "message"),
    [
        ("serving_default", _nudged, "serving_default: noise differs from the Keras network by"),
        ("denoise", _nudged, "denoise: latent_bytes differs from the Keras network by"),
        ("denoise_96x32", _nudged, "denoise_96x32: latent_bytes differs"),
        ("serving_default", _not_finite, "NaN or infinity"),
        ("serving_default", lambda e: replace(e, outputs={"image": e.outputs["noise"]}), "has inputs .* not"),
        (
            "serving_96x32",
            lambda e: _outputs(noise=np.swapaxes(e.outputs["noise"], 1, 2))(e),
            r"is float32 \(2, 4, 12, 4\), the Keras network's is float32 \(2, 12, 4, 4\)",
        ),
        ("denoise", lambda e: replace(e, signature="denoise_1x1"), "has signatures"),
    ],
    ids=["plain", "raw", "size", "nan", "names", "shape", "signatures"],
)
def test_a_wrong_model_is_found(
    small_export: SmallExport,
    served: dict[str, ServedModel],
    expectations: dict[str, list[Expectation]],
    signature: str,
    change: Change,
    message: str,
) -> None:
    """A model whose answers, names, shapes or signatures differ from what Keras says is an error."""
    role = "diffusion_model"
    changed = [change(e) if e.signature == signature else e for e in expectations[role]]
    with pytest.raises(VerificationError, match=message):
        verify(small_export.path(role), changed, description(served, role), TOLERANCES["float32"])


def test_raw_bytes_of_another_type_are_found(
    small_export: SmallExport, served: dict[str, ServedModel], expectations: dict[str, list[Expectation]]
) -> None:
    """An encoder that answers with float32 rows where the network computes in float16 does not pass."""
    plain, raw = expectations["text_encoder"]
    half = _outputs(context_bytes=raw.outputs["context_bytes"].astype(np.float16))(raw)
    message = r"context_bytes is float16 \(2, 4928\), the Keras network's is float16 \(2, 2464\)"
    with pytest.raises(VerificationError, match=message):
        verify(
            small_export.path("text_encoder"),
            [plain, half],
            description(served, "text_encoder"),
            TOLERANCES["float32"],
        )


def test_a_wrong_description_is_found(
    small_export: SmallExport, served: dict[str, ServedModel], expectations: dict[str, list[Expectation]]
) -> None:
    """`describe` is compared too."""
    wrong = description(served, "decoder") | {"parameters": 1}
    with pytest.raises(VerificationError, match="describe answers"):
        verify(small_export.path("decoder"), expectations["decoder"], wrong, TOLERANCES["float32"])


def test_a_picture_may_differ_by_one_level(
    small_export: SmallExport, served: dict[str, ServedModel], expectations: dict[str, list[Expectation]]
) -> None:
    """Pixels that lie between two levels may round either way, but not further."""
    asked = expectations["decoder"]
    described = description(served, "decoder")

    def off_by(levels: int) -> list[Expectation]:
        image = asked[0].outputs["image"]
        return [
            _outputs(image=np.where(image < 128, image + levels, image - levels).astype(np.uint8))(asked[0]),
            *asked[1:],
        ]

    with pytest.raises(VerificationError, match=r"serving_default: image differs from the Keras network by [23];"):
        verify(small_export.path("decoder"), off_by(2), described, TOLERANCES["float32"])


@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
)
@pytest.mark.parametrize("fault", ["cut", "gone"])
def test_a_broken_file_is_found(small_export: SmallExport, tmp_path: Path, file: str, fault: str) -> None:
    """A version with a file cut in half or missing does not pass."""
    import shutil

    path = tmp_path / "decoder"
    shutil.copytree(small_export.path("decoder"), path)
    whole = (path / file).read_bytes()
    (path / file).unlink()
    if fault == "cut":
        (path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VerificationError, match="decoder does not load"):
        verify(path, [], {}, TOLERANCES["float32"])
