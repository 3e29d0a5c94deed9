"""KerasCV's own code as an oracle: its tokenizer over our vocabulary, its loop over the fake's networks."""

from typing import Any

import numpy as np
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer
from keras_cv.src.models.stable_diffusion.stable_diffusion import StableDiffusionBase

from proxy.tokenizer import VOCABULARY
from tests.proxy import fake_networks as networks


def tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer(bpe_path=str(VOCABULARY))


class Network:
    """Something that KerasCV takes for a Keras model."""

    def __init__(self, call: Any) -> None:
        self.predict_on_batch = call


class KerasCV(StableDiffusionBase):
    """KerasCV's pipeline, everything its own but the three networks."""

    def __init__(self, latent_side: int) -> None:
        super().__init__(128, 128, jit_compile=False)
        self.img_height = self.img_width = latent_side * 8
        self._tokenizer = tokenizer()

    @property
    def text_encoder(self) -> Network:
        return Network(lambda inputs: networks.text_encoder(np.asarray(inputs["tokens"])))

    @property
    def diffusion_model(self) -> Network:
        names = ("latent", "timestep_embedding", "context")
        return Network(lambda inputs: networks.diffusion_model(*(np.asarray(inputs[name]) for name in names)))

    @property
    def decoder(self) -> Network:
        return Network(lambda latent: networks.decoder(np.asarray(latent)))
