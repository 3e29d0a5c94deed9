"""`python -m training`: makes the bundled emoji weights, in five stages, resuming where it was interrupted."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import keras
import numpy as np

from export import emoji
from proxy.tokenizer import Tokenizer
from training.alignment import align_text_encoder
from training.autoencoder import refine_decoder, train_autoencoder
from training.bundle import bundle
from training.captions import sample_caption
from training.diffusion import Contexts, train_diffusion_model
from training.pictures import DEFAULT_FONT, FontNotFoundError, load_pictures
from training.text_encoder import Vocabulary, tokenize, train_text_encoder

CAPTIONS_PER_PICTURE = 32
BUNDLE = Path(__file__).parents[1] / "export" / "weights" / "emoji"


def main() -> None:
    """Train all stages and write the bundle."""
    options = _options()
    if options.restart:
        shutil.rmtree(options.runs, ignore_errors=True)
    keras.config.set_dtype_policy(options.precision)
    keras.utils.set_random_seed(0)
    try:
        pictures = load_pictures(options.font).trained
    except FontNotFoundError as error:
        raise SystemExit(str(error)) from error
    pixels = np.stack([entry.pixels for entry in pictures])
    tokenizer = Tokenizer()
    vocabulary = Vocabulary(pictures, tokenizer)
    print(f"{len(pictures)} pictures, {len(vocabulary.tokens)} tokens, backend {keras.backend.backend()}", flush=True)

    print("Stage 1 of 5: autoencoder", flush=True)
    image_encoder, decoder = train_autoencoder(pixels, options.autoencoder_epochs, options.runs / "autoencoder")
    latents = image_encoder.predict(pixels.astype(np.float32) / 127.5 - 1, batch_size=64, verbose=0)
    print("Stage 2 of 5: text encoder", flush=True)
    trained_rows = train_text_encoder(
        pictures, vocabulary, tokenizer, options.text_epochs, options.runs / "text_encoder"
    )
    text_encoder = _over_whole_vocabulary(trained_rows, vocabulary)
    keras.config.set_dtype_policy(options.precision)
    print("Stage 3 of 5: diffusion model", flush=True)
    random = np.random.default_rng(2)
    captions = [
        sample_caption(entry, random, vocabulary.unknown_words)
        for entry in pictures
        for _ in range(CAPTIONS_PER_PICTURE)
    ]
    contexts = Contexts(
        _encode(text_encoder, tokenizer, captions).reshape(
            len(pictures), CAPTIONS_PER_PICTURE, emoji.MAX_TOKENS, emoji.CONTEXT_WIDTH
        ),
        _encode(text_encoder, tokenizer, [""])[0],
    )
    diffusion_model = train_diffusion_model(
        latents, contexts, options.diffusion_epochs, options.runs / "diffusion_model"
    )
    print("Stage 4 of 5: decoder", flush=True)
    refine_decoder(decoder, latents, pixels, options.decoder_epochs, options.runs / "decoder")
    print("Stage 5 of 5: wordings", flush=True)
    align_text_encoder(trained_rows, pictures, vocabulary, tokenizer, options.wording_epochs, options.runs / "wordings")
    text_encoder = _over_whole_vocabulary(trained_rows, vocabulary)
    for model in (text_encoder, diffusion_model, decoder):
        path = options.output / f"{model.name}.npz"
        print(f"{path}: {bundle(model, path) / 1e6:.2f} MB", flush=True)


def _over_whole_vocabulary(trained: keras.Model, vocabulary: Vocabulary) -> keras.Model:
    """Return the text encoder with CLIP's whole vocabulary, in float32; untrained rows of the embedding are zero."""
    keras.config.set_dtype_policy("float32")
    whole = emoji.text_encoder()
    rows = keras.ops.convert_to_numpy(trained.get_layer("token_embedding").embeddings)
    by_path = {variable.path: variable for variable in trained.variables}
    for variable in whole.variables:
        is_table = variable.path == "token_embedding/embeddings"
        variable.assign(vocabulary.full_embedding(rows) if is_table else by_path[variable.path])
    return whole


def _encode(text_encoder: keras.Model, tokenizer: Tokenizer, captions: list[str]) -> np.ndarray:
    """Return captions' contexts: (N, 77, 128) float16."""
    contexts = np.empty((len(captions), emoji.MAX_TOKENS, emoji.CONTEXT_WIDTH), np.float16)
    for start in range(0, len(captions), 1024):
        tokens = tokenize(tokenizer, captions[start : start + 1024])
        positions = np.tile(np.arange(emoji.MAX_TOKENS, dtype=np.int32), (len(tokens), 1))
        contexts[start : start + 1024] = text_encoder.predict([tokens, positions], batch_size=128, verbose=0)
    return contexts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--font", type=Path, default=DEFAULT_FONT, help="Noto Color Emoji, bitmap build (%(default)s)")
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs" / "emoji", help="progress is here")
    parser.add_argument("--output", type=Path, default=BUNDLE, help="where the bundle is written (%(default)s)")
    parser.add_argument("--restart", action="store_true", help="forget the progress of an interrupted run")
    parser.add_argument("--precision", default="mixed_bfloat16", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--autoencoder-epochs", type=int, default=55)
    parser.add_argument("--text-epochs", type=int, default=250)
    parser.add_argument("--diffusion-epochs", type=int, default=40, help="of 8 passes each (%(default)s)")
    parser.add_argument("--decoder-epochs", type=int, default=25)
    parser.add_argument("--wording-epochs", type=int, default=120)
    return parser.parse_args()


if __name__ == "__main__":
    main()
