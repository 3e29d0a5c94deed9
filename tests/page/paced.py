"""A model server that denoises when a test lets it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import httpx

from tests.proxy.fake_model_server import FakeModelServer

PATIENCE_SECONDS = 60


class PacedModelServer(FakeModelServer):
    """Holds calls that denoise until they are let through.

    denoise_calls: how many have begun.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shut()

    def shut(self) -> None:
        """Hold every call from now on, and count from 0."""
        self.denoise_calls = 0
        self._passes = threading.Semaphore(0)

    def let(self, calls: int = 10_000) -> None:
        """Let so many calls through, now or later."""
        self._passes.release(calls)

    def _predict(self, model: str, version: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if body["signature_name"].startswith("denoise"):
            self.denoise_calls += 1
            assert self._passes.acquire(timeout=PATIENCE_SECONDS)
        return super()._predict(model, version, body)


@dataclass(frozen=True)
class Paced:
    """A real proxy that draws one request at a time, and its model server."""

    url: str
    model_server: PacedModelServer

    def let(self, calls: int = 10_000) -> None:
        """Let so many calls that denoise through, now or later."""
        self.model_server.let(calls)

    def denoise_calls(self, **headers: str) -> int:
        """How many calls that denoise there were, once all that was asked for is over."""
        self.let()
        behind = {"caption": "the last in line", "steps": 1}
        answer = httpx.get(
            f"{self.url}/generate", params=behind, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False
        )
        answer.raise_for_status()
        return self.model_server.denoise_calls - 1
