"""`python -m local demo` makes one picture and stops; `python -m local serve` serves until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import httpx

from local.stack import StackError, running_stack


def main() -> int:
    """Run the command that was asked for and return the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return int(options.command(options))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def demo(options: argparse.Namespace) -> int:
    """Serve, make one picture, write it, stop."""
    with running_stack(options.models_config, environment={"EASEL_LOG_LEVEL": "warning"}) as stack:
        started = time.perf_counter()
        parameters = {"caption": options.caption, "format": _format(options.output)}
        if options.seed is not None:
            parameters["seed"] = options.seed
        response = httpx.get(f"{stack.url}/generate", params=parameters, timeout=300)
        if response.is_error:
            print(f"{response.status_code}: {response.text}", file=sys.stderr)
            return 1
        options.output.write_bytes(response.content)
        seconds = time.perf_counter() - started
        print(f"{options.output}: {options.caption!r} in {seconds:.1f} s, seed {response.headers['Easel-Seed']}")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or until one of the processes ends."""
    with running_stack(
        options.models_config, proxy_port=options.port, model_server_port=options.model_server_port
    ) as stack:
        print(f"Easel is ready: {stack.url}/generate?caption=red+heart and {stack.url}/docs (Ctrl-C stops)", flush=True)
        stack.wait()
    print("A process ended by itself; its log is above.", file=sys.stderr)
    return 1


def _format(output: Path) -> str:
    return {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(output.suffix.lower(), "png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--models-config", type=Path, default=Path("serving_models/models.config"))
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("demo", help="make one picture")
    one.add_argument("--caption", default="red heart")
    one.add_argument("--output", type=Path, default=Path("picture.png"))
    one.add_argument("--seed", type=int)
    one.set_defaults(command=demo)
    many = commands.add_parser("serve", help="serve until Ctrl-C")
    many.add_argument("--port", type=int, default=5000)
    many.add_argument("--model-server-port", type=int, default=8501)
    many.set_defaults(command=serve)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
