"""Who may draw: names and hashed keys in a TOML file, which python -m proxy.keys writes.

    [keys.alice]
    hash = "$argon2id$..."
    requests_per_minute = 60
    concurrent_requests = 4

A key is its name, a dot and 32 random bytes, so that the hash of one name alone has to be looked at.
"""

import argparse
import os
import re
import secrets
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

_RANDOM_BYTES = 32
# OWASP's least for passwords, which are guessed more easily than 32 random bytes: 20 ms and 19 MiB a verification.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True)
class Key:
    """A name, the hash of its key, and its own limits where it has any."""

    name: str
    hash: str
    requests_per_minute: int | None = None
    concurrent_requests: int | None = None


def _argon2(value: str) -> str:
    try:
        extract_parameters(value)
    except InvalidHashError:
        raise ValueError("not what python -m proxy.keys writes") from None
    return value


_NAME = r"[A-Za-z0-9_-]{1,64}"
_Count = Annotated[int, Field(ge=1)] | None


class _Entry(BaseModel):
    """What the file says of a key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    hash: Annotated[str, AfterValidator(_argon2)]
    requests_per_minute: _Count = None
    concurrent_requests: _Count = None


class _File(BaseModel):
    """What the file says."""

    model_config = ConfigDict(extra="forbid")

    keys: dict[Annotated[str, Field(pattern=f"^{_NAME}$")], _Entry] = {}


def read(path: Path) -> dict[str, Key]:
    """The keys of a file by their names. Raises ValueError, saying where it is wrong; OSError."""
    return parse(path.read_text())


def parse(text: str) -> dict[str, Key]:
    """The keys of a file's text by their names. Raises ValueError, saying at which line it is wrong."""
    try:
        entries = _File.model_validate(tomllib.loads(text)).keys
    except ValidationError as exc:
        problem = exc.errors()[0]
        place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
        # Neither the hash nor, if somebody wrote it there, the key itself.
        raise ValueError(f"{place}: {problem['msg']} (at line {_line(text, problem['loc'])})") from None
    return {name: Key(name, **entry.model_dump()) for name, entry in entries.items()}


def _line(text: str, location: Sequence[int | str]) -> int:
    """The line of what pydantic complains of: the field's, or its table's, or the first."""
    name, field = ([str(part) for part in location[1:] if part != "[key]"] + ["", ""])[:2]
    lines = text.splitlines()
    start = _table(lines, name)
    if start is None:
        return next((i for i, line in enumerate(lines, 1) if str(location[0]) in line), 1)
    within = range(start, _end(lines, start))
    return 1 + next((i for i in within if re.match(rf"\s*{re.escape(field)}\s*=", lines[i])), start)


def _table(lines: Sequence[str], name: str) -> int | None:
    """Where the table of a name begins."""
    head = re.compile(rf"""\s*\[\s*keys\s*\.\s*["']?{re.escape(name)}["']?\s*\]""")
    return next((i for i, line in enumerate(lines) if head.match(line)), None)


def _end(lines: Sequence[str], start: int) -> int:
    """Where the table that begins at a line ends."""
    return next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))


def add(path: Path, key: Key) -> str:
    """Write a key of that name and those limits; the key itself, which is kept nowhere. Raises ValueError."""
    text = path.read_text() if path.exists() else ""
    if not re.fullmatch(_NAME, key.name):
        raise ValueError(f"keys.{key.name}: a name has letters, digits, - and _, at most 64")
    if key.name in parse(text):
        raise ValueError(f"there is a key {key.name} already")
    secret = f"{key.name}.{secrets.token_urlsafe(_RANDOM_BYTES)}"
    limits = {"requests_per_minute": key.requests_per_minute, "concurrent_requests": key.concurrent_requests}
    fields = {"hash": f'"{HASHER.hash(secret)}"', **limits}
    entry = "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None)
    _write(path, f"{text.rstrip()}\n\n[keys.{key.name}]\n{entry}".lstrip())
    return secret


def remove(path: Path, name: str) -> None:
    """Take a key out of the file. Raises ValueError."""
    lines = path.read_text().splitlines(keepends=True)
    start = _table(lines, name)
    if start is None:
        raise ValueError(f"there is no [keys.{name}]")
    _write(path, "".join(lines[:start] + lines[_end(lines, start) :]))


def _write(path: Path, text: str) -> None:
    """At once, so that nobody reads half of it; readable to others only if it was so before."""
    parse(text)
    with tempfile.NamedTemporaryFile("w", dir=path.absolute().parent, delete=False) as file:
        file.write(text)
    if path.exists():
        Path(file.name).chmod(path.stat().st_mode)
    Path(file.name).replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Add, list or remove keys; exit status 1, with a sentence, if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m proxy.keys", description="Keys of a proxy, for EASEL_API_KEYS_FILE"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("add", "list", "remove"):
        command = commands.add_parser(name)
        if name != "list":
            command.add_argument("name")
        command.add_argument("--file", type=Path, default=os.environ.get("EASEL_API_KEYS_FILE"))
        if name == "add":
            command.add_argument("--requests-per-minute", type=int)
            command.add_argument("--concurrent-requests", type=int)
    asked = parser.parse_args(arguments)
    if asked.file is None:
        parser.error("which --file? EASEL_API_KEYS_FILE is not set")
    try:
        _run(asked)
    except (ValueError, OSError) as exc:
        print(f"{asked.file}: {exc}", file=sys.stderr)
        return 1
    return 0


def _run(asked: argparse.Namespace) -> None:
    if asked.command == "add":
        print(add(asked.file, Key(asked.name, "", asked.requests_per_minute, asked.concurrent_requests)))
        print(f"{asked.name}: this key is shown once; {asked.file} has its hash.", file=sys.stderr)
    elif asked.command == "remove":
        remove(asked.file, asked.name)
    else:
        for key in read(asked.file).values():
            limits = [f"{key.requests_per_minute} a minute"] if key.requests_per_minute else []
            limits += [f"{key.concurrent_requests} at once"] if key.concurrent_requests else []
            print(key.name, *([", ".join(limits)] if limits else []))


if __name__ == "__main__":
    sys.exit(main())
