"""`python -m local demo` makes one picture and stops; `python -m local serve` serves until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from local.stack import Stack, StackError, running_stack
from proxy import keys
from proxy.keys import Key

CALL_SECONDS = 600.0


def main() -> int:
    """Run the command that was asked for and return the exit status."""
    options = _options()
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda *_: sys.exit(0))
    try:
        return int(options.command(options))
    except (StackError, OSError, httpx.HTTPError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def demo(options: argparse.Namespace) -> int:
    """Serve, make one picture, write it, stop."""
    parameters = {"caption": options.caption, "format": _format(options.output)}
    if options.seed is not None:
        parameters["seed"] = options.seed
    if not options.output.parent.is_dir():
        raise StackError(f"{options.output}: there is no folder {options.output.parent}")
    with TemporaryDirectory(prefix="easel-") as folder:
        file = Path(folder) / "keys.toml"  # in place of one that is set, whose keys are not known here
        headers = {"Authorization": f"Bearer {keys.add(file, Key('demo', ''))}"}
        with _stack(options, {"EASEL_LOG_LEVEL": "warning", "EASEL_API_KEYS_FILE": str(file)}) as stack:
            response = httpx.get(
                f"{stack.url}/generate", params=parameters, headers=headers, timeout=CALL_SECONDS, trust_env=False
            )
    if response.is_error:
        print(f"{response.status_code}: {response.text}", file=sys.stderr)
        return 1
    options.output.write_bytes(response.content)
    seconds = response.elapsed.total_seconds()
    print(f"{options.output}: {options.caption!r} in {seconds:.1f} s, seed {response.headers['Easel-Seed']}")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or until one of the processes ends."""
    with _stack(options, {}, proxy_port=options.port, model_server_port=options.model_server_port) as stack:
        print(f"Easel is ready: {stack.url} and {stack.url}/docs (Ctrl-C stops)", flush=True)
        stack.wait()
    print("A process ended by itself; its log is above.", file=sys.stderr)
    return 1


def _stack(
    options: argparse.Namespace, environment: Mapping[str, str], proxy_port: int = 0, model_server_port: int = 0
) -> AbstractContextManager[Stack]:
    return running_stack(
        options.models,
        options.family,
        proxy_port=proxy_port,
        model_server_port=model_server_port,
        environment=environment,
    )


def _format(output: Path) -> str:
    """Return the file format that a name asks for."""
    formats = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    if output.suffix.lower() not in formats:
        raise StackError(f"{output}: its name must end in one of {', '.join(formats)}")
    return formats[output.suffix.lower()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("serving_models"), help="model repository (%(default)s)")
    parser.add_argument("--family", default="emoji", help="what to serve (%(default)s)")
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
