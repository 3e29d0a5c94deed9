"""A proxy process that asks for keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from proxy import keys
from proxy.keys import Key
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy


@dataclass
class Guarded:
    """A proxy with keys, and what it logs. keys: by name."""

    url: str
    fake: FakeModelServer
    file: Path
    keys: dict[str, str]
    log: list[str]

    def client(self, name: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[name]}"} if name else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


def guarded(folder: Path, **settings: object) -> Iterator[Guarded]:
    """A proxy with four keys; at the end, none of them must be in its log."""
    file = folder / "keys.toml"
    limits = {"alice": (None, None), "bob": (None, None), "hasty": (3, None), "narrow": (None, 1)}
    secrets = {name: keys.add(file, Key(name, "", *own)) for name, own in limits.items()}
    fake = FakeModelServer()
    with running(fake) as server:
        with running_proxy(server.url, api_keys_file=file, **settings) as (url, _, log):
            yield Guarded(url, fake, file, secrets, log)
        text = "\n".join(log)
        assert "Traceback" not in text
        for secret in secrets.values():
            assert secret not in text
            assert secret.partition(".")[2] not in text
