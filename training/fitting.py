"""How each stage is fitted: AdamW on a cosine, averaged weights, and a backup to resume from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

WARM_UP_SHARE = 0.02
EMA_MOMENTUM = 0.998


def fit(
    model: keras.Model,
    batches: keras.utils.PyDataset,
    epochs: int,
    folder: Path,
    learning_rate: float,
    **compiling: Any,
) -> None:
    """Fit a model, or finish a fit that was interrupted; its weights end as their moving average.

    Args:
        model: what to fit.
        batches: one epoch of batches.
        epochs: how many.
        folder: where the backup of each epoch, and at the end the weights, are kept.
        learning_rate: the cosine's highest.
        compiling: `loss` and what else `Model.compile` takes.
    """
    finished = folder / "finished.weights.h5"
    if finished.exists():
        model.load_weights(finished)
        return
    folder.mkdir(parents=True, exist_ok=True)
    steps = epochs * len(batches)
    warm_up = max(1, int(WARM_UP_SHARE * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, alpha=0.01, warmup_target=learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=0.01, beta_2=0.99, clipnorm=1.0, use_ema=True, ema_momentum=EMA_MOMENTUM
    )
    model.compile(optimizer, jit_compile="auto" if keras.backend.backend() == "jax" else False, **compiling)
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    model.fit(batches, epochs=epochs, callbacks=[backup], shuffle=False, verbose=2)
    partial = finished.with_suffix(".partial.weights.h5")
    model.save_weights(partial)
    partial.rename(finished)
