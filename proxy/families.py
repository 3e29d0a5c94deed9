"""What the proxy learns of a family from the model server's metadata, and whether its models fit together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.errors import BadModelAnswerError, FamilyMisfitError

NETWORKS = ("text_encoder", "diffusion_model", "decoder")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """Shapes of a signature's tensors by name; -1 is any size."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


@dataclass(frozen=True)
class Version:
    """Which version of a model answers now. is_changing: whether another one is being loaded."""

    number: str
    is_changing: bool = False


@dataclass(frozen=True)
class Model:
    """One served model: its name in the server's URLs, the version that answers, its signatures by name."""

    name: str
    version: str
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class Size:
    """A picture size in pixels, the latent (h, w, 4) it is decoded from, and the ending of its signatures' names."""

    width: int
    height: int
    latent_shape: tuple[int, int, int]
    suffix: str

    def signature(self, name: str) -> str:
        """The name of this size's own `denoise` or `decode`."""
        return name + self.suffix

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, eq=False)
class Family:
    """Three models that fit together, as they were learned once; learned again, it is another. sizes: default first."""

    name: str
    token_length: int
    context_width: int
    sizes: tuple[Size, ...]
    versions: Mapping[str, str]

    @property
    def text_encoder(self) -> str:
        """The text encoder's name in the model server's URLs."""
        return model_name(self.name, "text_encoder")

    @property
    def diffusion_model(self) -> str:
        """The diffusion model's name in the model server's URLs."""
        return model_name(self.name, "diffusion_model")

    @property
    def decoder(self) -> str:
        """The decoder's name in the model server's URLs."""
        return model_name(self.name, "decoder")


def model_name(family: str, network: str) -> str:
    """The name of a family's network in the model server's URLs."""
    return f"{family}_{network}"


def parse_model(name: str, metadata: Mapping[str, Any]) -> Model:
    """A model from the answer to GET /v1/models/<model>/metadata. Raises BadModelAnswerError."""
    try:
        definitions = metadata["metadata"]["signature_def"]["signature_def"]
        signatures = {
            key: Signature(_shapes(definition["inputs"]), _shapes(definition["outputs"]))
            for key, definition in definitions.items()
        }
        return Model(name, str(int(metadata["model_spec"]["version"])), signatures)
    except (TypeError, KeyError, ValueError, AttributeError) as exc:
        raise BadModelAnswerError(name, "its metadata is not TensorFlow Serving's") from exc


def _shapes(tensors: Mapping[str, Any]) -> dict[str, Shape]:
    return {
        name: tuple(int(dimension["size"]) for dimension in tensor["tensor_shape"].get("dim", []))
        for name, tensor in tensors.items()
    }


def fit_together(family: str, text_encoder: Model, diffusion_model: Model, decoder: Model, token_length: int) -> Family:
    """The family of three models whose shapes agree; token_length is the tokenizer's.

    Raises FamilyMisfitError, naming both models and both shapes.
    """
    fit = _Fit(family)
    context = fit.shape(text_encoder, "serving_default", "outputs", "context", 3)
    tokens = fit.shape(text_encoder, "serving_default", "inputs", "tokens", 2)
    fit.require(text_encoder, "encode")
    if tokens[1] != token_length:
        raise FamilyMisfitError(
            family, f"{text_encoder.name} reads tokens {list(tokens)}, the tokenizer writes {token_length}"
        )

    sizes = []
    names = [key for key, signature in decoder.signatures.items() if "image" in signature.outputs]
    for name in sorted(names, key=lambda name: (name != "serving_default", name)):
        suffix = name.removeprefix("serving_default").removeprefix("serving")
        fit.require(decoder, f"decode{suffix}")
        fit.require(diffusion_model, f"denoise{suffix}")
        image = fit.shape(decoder, name, "outputs", "image", 4)
        latent = fit.same((decoder, name, "latent", 4), (diffusion_model, name, "latent", 4))
        fit.same((diffusion_model, name, "context", 3), (text_encoder, "serving_default", "context", 3))
        sizes.append(Size(image[2], image[1], (latent[1], latent[2], latent[3]), suffix))
    if not sizes or sizes[0].suffix:
        raise FamilyMisfitError(family, f"{decoder.name} has no serving_default with an image")

    models = (text_encoder, diffusion_model, decoder)
    return Family(family, tokens[1], context[2], tuple(sizes), {model.name: model.version for model in models})


@dataclass(frozen=True)
class _Fit:
    """The checks of one family."""

    family: str

    def require(self, model: Model, signature: str) -> Signature:
        if signature not in model.signatures:
            listed = ", ".join(sorted(model.signatures))
            raise FamilyMisfitError(self.family, f"{model.name} has no signature {signature}, only {listed}")
        return model.signatures[signature]

    def shape(self, model: Model, signature: str, side: str, tensor: str, rank: int) -> Shape:
        """The tensor's shape, with every dimension but the batch known."""
        shapes: Mapping[str, Shape] = getattr(self.require(model, signature), side)
        shape = shapes.get(tensor, ())
        if len(shape) != rank or min(shape[1:]) < 1:
            found = list(shape) if tensor in shapes else "missing"
            raise FamilyMisfitError(
                self.family, f"{model.name} {signature}: {tensor} is {found}, needs {rank} known dimensions"
            )
        return shape

    def same(self, left: tuple[Model, str, str, int], right: tuple[Model, str, str, int]) -> Shape:
        """The shape that a tensor has in both models."""
        shapes = []
        for model, signature, tensor, rank in (left, right):
            side = "inputs" if tensor in self.require(model, signature).inputs else "outputs"
            shapes.append(self.shape(model, signature, side, tensor, rank))
        if shapes[0][1:] != shapes[1][1:]:
            reason = " but ".join(
                f"{model.name} {signature} has {tensor} {list(shape)}"
                for (model, signature, tensor, _), shape in zip((left, right), shapes, strict=True)
            )
            raise FamilyMisfitError(self.family, reason)
        return shapes[0]
