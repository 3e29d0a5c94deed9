"""The table of families: a new family is one new entry here."""

from __future__ import annotations

from dataclasses import dataclass

from export import networks
from export.errors import ChoiceError
from export.networks import Builder, PictureSize

TEXT_ENCODER = "text_encoder"
DIFFUSION_MODEL = "diffusion_model"
DECODER = "decoder"


@dataclass(frozen=True)
class Network:
    """One network of a family: how to build it and which weights file is its own.

    Attributes:
        role: `text_encoder`, `diffusion_model` or `decoder`; decides the signatures.
        build: returns the Keras model for a picture size.
        weights_file: name of the published or bundled file.
        sha256: of that file, as KerasCV's loader has it; empty for a bundled file, which the repository itself vouches
            for.
    """

    role: str
    build: Builder
    weights_file: str
    sha256: str = ""


@dataclass(frozen=True)
class Family:
    """Three networks that belong together.

    Attributes:
        name: as in paths and in model names (`<name>_<network>`).
        networks: text encoder, diffusion model and decoder.
        context_width: width of the text encoder's output.
        default_size: the picture size exported when none is asked for.
        size_multiple: width and height of other sizes are multiples of this, in pixels; 0 if there is only one size.
        weights: the choices of `--weights` that this family has, the default first.
        licence: what the weights are licensed under, as printed by the export.
        examples: captions that suit it; the text encoder's `describe` says them to whoever asks.
    """

    name: str
    networks: tuple[Network, Network, Network]
    context_width: int
    default_size: PictureSize
    size_multiple: int
    weights: tuple[str, ...]
    licence: str
    examples: tuple[str, ...]

    def check_sizes(self, sizes: tuple[PictureSize, ...]) -> None:
        """Raise `ChoiceError` unless every size is one that this family can make, and none comes twice."""
        if len(set(sizes)) != len(sizes):
            raise ChoiceError(f"a size is given twice: {', '.join(map(str, sizes))}")
        for size in sizes:
            multiple = self.size_multiple
            if multiple == 0 and size != self.default_size:
                raise ChoiceError(f"size {size}: family {self.name} has {self.default_size} only")
            if multiple and any(side == 0 or side % multiple for side in (size.width, size.height)):
                raise ChoiceError(f"size {size}: width and height of family {self.name} are multiples of {multiple}")


def model_name(family: str, network: str) -> str:
    """Return the name that a model server knows the network by, such as `emoji_decoder`."""
    return f"{family}_{network}"


# Names and SHA-256 of the published files are those of KerasCV's own loader; a test compares them.
# The U-Net halves the latent three times, hence multiples of 8 x 8 pixels.
_SD_DECODER = Network(
    DECODER,
    networks.sd_decoder,
    "kcv_decoder.h5",
    "ad350a65cc8bc4a80c8103367e039a3329b4231c2469a1093869a345f55b1962",
)

_SD_EXAMPLES = (
    "a lighthouse on a cliff at sunset, oil painting",
    "a photograph of a fox in the snow",
    "a bowl of ramen, watercolor",
    "a cosy cabin in a forest, studio lighting, highly detailed",
    "an astronaut riding a horse on the moon",
)

_FAMILIES = (
    Family(
        name="emoji",
        networks=(
            Network(TEXT_ENCODER, networks.emoji_text_encoder, "text_encoder.npz"),
            Network(DIFFUSION_MODEL, networks.emoji_diffusion_model, "diffusion_model.npz"),
            Network(DECODER, networks.emoji_decoder, "decoder.npz"),
        ),
        context_width=128,
        default_size=PictureSize(128, 128),
        size_multiple=0,
        weights=("bundled", "random"),
        licence="Apache License 2.0 (trained on the pictures of Noto Emoji)",
        examples=("red heart", "rocket", "purple umbrella", "ghost", "pizza", "sunflower", "green apple"),
    ),
    Family(
        name="sd-v1",
        networks=(
            Network(
                TEXT_ENCODER,
                networks.sd_v1_text_encoder,
                "kcv_encoder.h5",
                "4789e63e07c0e54d6a34a29b45ce81ece27060c499a709d556c7755b42bb0dc4",
            ),
            Network(
                DIFFUSION_MODEL,
                networks.sd_v1_diffusion_model,
                "kcv_diffusion_model.h5",
                "8799ff9763de13d7f30a683d653018e114ed24a6a819667da4f5ee10f9e805fe",
            ),
            _SD_DECODER,
        ),
        context_width=768,
        default_size=PictureSize(512, 512),
        size_multiple=64,
        weights=("pretrained", "random"),
        licence="CreativeML Open RAIL-M",
        examples=_SD_EXAMPLES,
    ),
    Family(
        name="sd-v2",
        networks=(
            Network(
                TEXT_ENCODER,
                networks.sd_v2_text_encoder,
                "text_encoder_v2_1.h5",
                "985002e68704e1c5c3549de332218e99c5b9b745db7171d5f31fcd9a6089f25b",
            ),
            Network(
                DIFFUSION_MODEL,
                networks.sd_v2_diffusion_model,
                "diffusion_model_v2_1.h5",
                "c31730e91111f98fe0e2dbde4475d381b5287ebb9672b1821796146a25c5132d",
            ),
            _SD_DECODER,
        ),
        context_width=1024,
        default_size=PictureSize(512, 512),
        size_multiple=64,
        weights=("pretrained", "random"),
        licence="CreativeML Open RAIL++-M",
        examples=_SD_EXAMPLES,
    ),
)

FAMILIES = {family.name: family for family in _FAMILIES}
