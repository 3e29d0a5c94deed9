"""Eight users, two model servers and a proxy, while all that can fail does: python -m tests.chaos --seconds 300."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults import CALL_SECONDS, Faults
from tests.chaos.report import LEAST_RIGHT, Report
from tests.chaos.stack import START_SECONDS, ModelServer, Proxy, add_version, lay_out
from tests.chaos.users import DEADLINE_SECONDS, Outcome, Right, User, pictures, shown

# How much longer than asked it may take, on a slow machine, until enough is right.
MOST_TIMES = 10
MODELS = Path(__file__).parents[2] / "serving_models"


async def run(models: Path, seconds: float, users: int, seed: int) -> Report:
    """Draw in calm, then under faults, over a copy of the model repository."""
    with tempfile.TemporaryDirectory(prefix="easel-chaos-") as name:
        folder = Path(name)
        lay_out(models, folder)
        servers = [ModelServer(folder, folder / f"model_server_{name}.log") for name in "ab"]
        try:
            await asyncio.gather(*(server.start() for server in servers))
            settings = {
                "call_timeout_seconds": CALL_SECONDS,
                "request_seconds": DEADLINE_SECONDS,
                "shutdown_seconds": int(DEADLINE_SECONDS),
            }
            proxy = Proxy([server.url for server in servers], folder / "proxy.log", settings)
            await proxy.start()
            try:
                return await _draw(servers, proxy, folder, seconds, users, seed)
            finally:
                await proxy.stop()
        finally:
            await asyncio.gather(*(server.stop() for server in servers))


async def _draw(
    servers: list[ModelServer], proxy: Proxy, folder: Path, seconds: float, users: int, seed: int
) -> Report:
    right: Right = {}
    drawing = [User(proxy, number, seed, right) for number in range(users)]
    await _remember(right, drawing)
    add_version(folder)
    await _remember(right, drawing)
    faults = Faults(servers, proxy, folder, seed)
    start, end = time.monotonic(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for user in drawing:
            tasks.create_task(user.draw_until(end))
        await faults.go_on_until(start + seconds)
        await enough(drawing, start + MOST_TIMES * seconds)
        end.set()
    spoiled = {fault: sum(server.faults.done[fault] for server in servers) for fault in servers[0].faults.done}
    took = time.monotonic() - start
    return Report(seed, seconds, took, {**faults.done, **spoiled}, drawing, proxy.statuses, proxy.log())


async def enough(users: Sequence[User], latest: float) -> None:
    """Wait until enough pictures are right, or it is that late, on the clock of time.monotonic."""
    while sum(user.outcomes[Outcome.RIGHT] for user in users) < LEAST_RIGHT:
        if time.monotonic() >= latest:
            return
        await asyncio.sleep(1)


async def _remember(right: Right, users: Sequence[User]) -> None:
    """What the versions draw that are served now, or soon; by two users, so that it is done within the deadline."""
    open_questions = [(way, asked) for asked in pictures() for way in (("get", "post") if asked["n"] > 1 else ("get",))]

    async def ask(user: User) -> None:
        while open_questions:
            way, asked = open_questions.pop()
            known = right.setdefault(shown(way, asked), [])
            answer = await user.file(way, asked)
            while answer in known:
                answer = await user.file(way, asked)
            known.append(answer)

    async with asyncio.timeout(START_SECONDS):
        await asyncio.gather(*map(ask, users[:2]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit status 1 if anybody lost anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="how long (%(default)s)")
    parser.add_argument("--users", type=int, default=8, help="who draw at once (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what is drawn (%(default)s)")
    parser.add_argument("--models", type=Path, default=MODELS, help="the model repository (%(default)s)")
    options = parser.parse_args(arguments)
    report = asyncio.run(run(options.models, options.seconds, options.users, options.seed))
    print(report)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
