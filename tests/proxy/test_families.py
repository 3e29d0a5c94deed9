"""A family is learned from metadata alone, and one that does not fit together is refused."""

import copy
from typing import Any

import pytest

from proxy.errors import BadModelAnswerError, FamilyMisfitError
from proxy.families import Family, fit_together, parse_model
from tests.proxy.fake_networks import WIDTH, models, tensor

SIZES = ((512, 512), (256, 128), (1024, 64))
NAMES = ("emoji_text_encoder", "emoji_diffusion_model", "emoji_decoder")


def learn(signatures: dict[str, Any], token_length: int = 77) -> Family:
    parsed = [
        parse_model(
            name,
            {
                "model_spec": {"version": str(place)},
                "metadata": {"signature_def": {"signature_def": signatures[name]}},
            },
        )
        for place, name in enumerate(NAMES, 1)
    ]
    return fit_together("emoji", *parsed, token_length)


def test_everything_is_learned_from_metadata() -> None:
    family = learn(models("emoji", SIZES))
    assert (family.token_length, family.context_width) == (77, WIDTH)
    assert [str(size) for size in family.sizes] == ["512x512", "1024x64", "256x128"]
    assert [size.latent_shape for size in family.sizes] == [(64, 64, 4), (8, 128, 4), (16, 32, 4)]
    assert [size.signature("denoise") for size in family.sizes] == ["denoise", "denoise_1024x64", "denoise_256x128"]
    assert dict(family.versions) == dict(zip(NAMES, "123", strict=True))
    assert (family.text_encoder, family.diffusion_model, family.decoder) == NAMES


def misfit(change: Any) -> str:
    signatures = copy.deepcopy(models("emoji", SIZES))
    change(*(signatures[name] for name in NAMES))
    with pytest.raises(FamilyMisfitError) as caught:
        learn(signatures)
    return str(caught.value)


def test_another_context_width_names_both_models_and_both_shapes() -> None:
    message = misfit(
        lambda text, _, __: text["serving_default"]["outputs"].update(context=tensor("DT_FLOAT", -1, 77, 999))
    )
    assert "emoji_diffusion_model serving_default has context [-1, 77, 8]" in message
    assert "emoji_text_encoder serving_default has context [-1, 77, 999]" in message


def test_another_latent_names_both_models_and_both_shapes() -> None:
    message = misfit(
        lambda _, __, decoder: decoder["serving_256x128"]["inputs"].update(latent=tensor("DT_FLOAT", -1, 9, 9, 4))
    )
    assert "emoji_decoder serving_256x128 has latent [-1, 9, 9, 4]" in message
    assert "emoji_diffusion_model serving_256x128 has latent [-1, 16, 32, 4]" in message


def test_a_size_that_the_diffusion_model_lacks_is_named() -> None:
    message = misfit(lambda _, diffusion, __: diffusion.pop("denoise_256x128"))
    assert "emoji_diffusion_model has no signature denoise_256x128, only" in message


@pytest.mark.parametrize("signature", ["serving_default", "encode"])
def test_a_text_encoder_without_its_signature_is_named(signature: str) -> None:
    assert f"emoji_text_encoder has no signature {signature}" in misfit(lambda text, _, __: text.pop(signature))


def test_a_decoder_without_a_default_size_is_named() -> None:
    assert "emoji_decoder has no serving_default" in misfit(lambda _, __, decoder: decoder.pop("serving_default"))


@pytest.mark.parametrize("shape", [(-1, 64, 64), (-1, -1, 64, 4), ()])
def test_a_latent_of_unknown_shape_is_named(shape: tuple[int, ...]) -> None:
    message = misfit(
        lambda _, __, decoder: decoder["serving_default"]["inputs"].update(latent=tensor("DT_FLOAT", *shape))
    )
    assert f"emoji_decoder serving_default: latent is {list(shape)}" in message


def test_a_missing_tensor_is_named() -> None:
    message = misfit(lambda text, _, __: text["serving_default"]["outputs"].pop("context"))
    assert "emoji_text_encoder serving_default: context is missing" in message


def test_another_token_length_is_named() -> None:
    with pytest.raises(FamilyMisfitError, match=r"emoji_text_encoder reads tokens \[-1, 77\], the tokenizer writes 64"):
        learn(models("emoji", SIZES), token_length=64)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"model_spec": {"version": "1"}, "metadata": None},
        {"model_spec": {"version": "1"}, "metadata": {"signature_def": {"signature_def": {"a": 5}}}},
        {"model_spec": {"version": "1"}, "metadata": {"signature_def": {"signature_def": []}}},
        {
            "model_spec": {"version": "1"},
            "metadata": {
                "signature_def": {
                    "signature_def": {"a": {"inputs": {"x": {"tensor_shape": {"dim": [{"size": "?"}]}}}, "outputs": {}}}
                }
            },
        },
    ],
)
def test_metadata_of_another_kind_is_a_bad_answer(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadModelAnswerError, match="model m: its metadata"):
        parse_model("m", metadata)


def test_a_version_is_a_number() -> None:
    """It becomes part of an address."""
    metadata = {"metadata": {"signature_def": {"signature_def": {}}}, "model_spec": {"version": "../1"}}
    with pytest.raises(BadModelAnswerError):
        parse_model("m", metadata)
