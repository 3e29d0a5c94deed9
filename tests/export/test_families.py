"""The table of families against the networks it names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from export import weights
from export.families import FAMILIES, Network
from export.networks import PictureSize
from export.pipeline import Export, export_family
from export.probes import probes
from export.repository import exclusive
from export.weights import Weights
from tests.export.served import ServedModel
from tests.export.small import SIZE, SMALL, WIDTH


def test_the_emoji_family_exports(tmp_path: Path) -> None:
    """The real emoji networks pass verification, and answer with the shapes that the table says."""
    emoji = FAMILIES["emoji"]
    with exclusive(tmp_path):
        reports = export_family(
            Export(emoji, Weights("random"), (emoji.default_size,), "float32", tmp_path, 1, "/models")
        )
    assert [report.name for report in reports] == ["emoji_text_encoder", "emoji_diffusion_model", "emoji_decoder"]
    for network, shape in zip(emoji.networks, ([-1, 77, 128], [-1, 16, 16, 4], [-1, 128, 128, 3]), strict=True):
        model = ServedModel(tmp_path / "emoji" / network.role / "1")
        (output,) = model.signatures["serving_default"].outputs.values()
        assert [dim.size for dim in output.tensor_shape.dim] == shape
        model.close()


def test_float16(tmp_path: Path) -> None:
    """In float16 weights take half the disk, and signatures stay float32."""
    with exclusive(tmp_path):
        reports = export_family(Export(SMALL, Weights("random"), (SIZE,), "float16", tmp_path, 1, "/models", ()))
    for network, report in zip(SMALL.networks, reports, strict=True):
        folder = tmp_path / "small" / network.role / "1"
        size = sum(file.stat().st_size for file in (folder / "variables").iterdir())
        assert report.parameters * 2 <= size <= report.parameters * 2.04 + 20_000
        model = ServedModel(folder)
        definition = model.signatures["serving_default"]
        types = {info.dtype for info in (*definition.inputs.values(), *definition.outputs.values())}
        assert types <= {1, 3, 4}, "float32, int32 and uint8 only: JSON knows no float16"
        model.close()


def test_float16_policy_ends_with_the_block() -> None:
    """A float16 network leaves Keras's own policy as it was."""
    half = weights.build(SMALL.networks[2], Weights("random"), SIZE, "float16")
    assert {variable.dtype for variable in half.variables} == {"float16"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("network", SMALL.networks, ids=lambda network: network.role)
def test_storing_float16_loses_nothing_against_mixed_float16(network: Network) -> None:
    """Weights rounded once, when stored, give what mixed_float16 gives, which rounds them at every call."""
    stored, mixed = (weights.build(network, Weights("random"), SIZE, policy) for policy in ("float16", "mixed_float16"))
    for variable, value in zip(mixed.variables, stored.variables, strict=True):
        variable.assign(value.value)
    answers, expected = (next(probes(network.role, model, WIDTH, (SIZE,))).compute() for model in (stored, mixed))
    for name, output in answers.items():
        np.testing.assert_array_equal(output, expected[name])


@pytest.mark.parametrize("name", ["emoji", "sd-v1", "sd-v2"])
def test_a_family_is_three_networks(name: str) -> None:
    """Each family has its three networks under their names, and sizes whose latents are whole."""
    family = FAMILIES[name]
    assert family.name == name
    assert [network.role for network in family.networks] == ["text_encoder", "diffusion_model", "decoder"]
    family.check_sizes((family.default_size,))
    assert dataclasses.astuple(family.default_size)[0] % 8 == 0


def test_latent_shape() -> None:
    """Width and height are not mixed up."""
    assert PictureSize(96, 32).latent_shape == (4, 12, 4)
