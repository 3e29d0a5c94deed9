"""The table of families against the networks it names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from export import weights
from export.families import FAMILIES, Network
from export.networks import MAX_TOKENS, OPTIMIZATIONS, PictureSize
from export.pipeline import Export, Exported, export_family
from export.probes import probes, to_rows
from export.repository import exclusive
from export.weights import Weights
from tests.export.served import ServedModel, floats
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


@pytest.fixture(scope="module")
def half_export(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Exported]:
    """The small family in float16: what the export reported, by the folder of each network's version."""
    output = tmp_path_factory.mktemp("half")
    with exclusive(output):
        reports = export_family(Export(SMALL, Weights("random"), (SIZE,), "float16", output, 1, "/models", ()))
    folders = (output / "small" / network.role / "1" for network in SMALL.networks)
    return dict(zip(folders, reports, strict=True))


def test_float16(half_export: dict[Path, Exported]) -> None:
    """In float16 weights take half the disk, and plain signatures stay float32."""
    for folder, report in half_export.items():
        size = sum(file.stat().st_size for file in (folder / "variables").iterdir())
        assert report.parameters * 2 <= size <= report.parameters * 2.04 + 20_000
        model = ServedModel(folder)
        definition = model.signatures["serving_default"]
        types = {info.dtype for info in (*definition.inputs.values(), *definition.outputs.values())}
        assert types <= {1, 3, 4}, "float32, int32 and uint8 only: JSON knows no float16"
        model.close()


@pytest.mark.slow
def test_float16_with_cheaper_arithmetic(tmp_path: Path) -> None:
    """Whoever asks for both gets networks that the export's own comparison with Keras has passed."""
    with exclusive(tmp_path):
        reports = export_family(
            Export(SMALL, Weights("random"), (SIZE,), "float16", tmp_path, 1, "/models", OPTIMIZATIONS)
        )
    assert len(reports) == 3


def test_float16_contexts(half_export: dict[Path, Exported]) -> None:
    """In float16 contexts take half the bytes on the wire and lose nothing: what `encode` gives, `denoise` takes."""
    text_encoder, diffusion_model, _ = map(ServedModel, half_export)
    tokens = np.random.default_rng(0).integers(0, 49408, (2, MAX_TOKENS)).astype(np.int32)
    plain = text_encoder.call("serving_default", tokens=tokens)["context"]
    rows = text_encoder.call("encode", tokens=tokens)["context_bytes"]
    halves = np.stack([np.frombuffer(row, np.float16).reshape(MAX_TOKENS, WIDTH) for row in rows])
    np.testing.assert_array_equal(halves.astype(np.float32), plain)

    latent = np.random.default_rng(1).standard_normal((1, *SIZE.latent_shape), np.float32)
    timestep = np.array([500], np.int32)

    def guided(context: bytes) -> dict[str, NDArray[Any]]:
        """One step whose x0 is the conditional noise, and whose new state is x0."""
        return diffusion_model.call(
            "denoise",
            latent_bytes=to_rows(latent),
            x0_bytes=to_rows(latent),
            context_bytes=np.array([context], object),
            unconditional_context_bytes=rows[1:],
            guidance_scale=np.ones(1, np.float32),
            timesteps=timestep[np.newaxis],
            coefficients=np.array([[[0, 1, 0, 1, 0]]], np.float32),
        )

    noise = diffusion_model.call("serving_default", latent=latent, timestep=timestep, context=plain[:1])["noise"]
    # In float16 a batch of two, which guidance needs, may round otherwise than a batch of one.
    np.testing.assert_allclose(floats(guided(rows[0])["x0_bytes"], SIZE.latent_shape), noise, rtol=0, atol=1e-2)
    with pytest.raises(tf.errors.InvalidArgumentError):
        guided(plain[0].tobytes())
    text_encoder.close()
    diffusion_model.close()


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
