"""Draws from the command line over a running proxy: python -m proxy.cli "red heart" -o heart.png."""

import argparse
import io
import math
import os
import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import HttpUrl, TypeAdapter, ValidationError
from tqdm import tqdm

from proxy.api.dialects import EASEL
from proxy.api.parameters import Parameters
from proxy.client import Client, ClientError
from proxy.errors import InvalidParametersError
from proxy.pictures import Format, encode
from proxy.sheet import sheet

_URL = "http://127.0.0.1:5000"
_SUFFIXES = {".png": Format.PNG, ".jpg": Format.JPEG, ".jpeg": Format.JPEG, ".webp": Format.WEBP}
# In pixels; PNG has no limit that matters.
_LARGEST_SIDES = {Format.JPEG: 65_500, Format.WEBP: 16_383}
_LONGEST_NAME = 40
_INTERRUPTED = 130
_BAR = "{desc} |{bar:24}| {n_fmt}/{total_fmt}{postfix}"


@dataclass(frozen=True)
class Plan:
    """What to draw, and where to put it.

    requests: one for each caption. output: a file for one picture, or a folder. sheet: a file, if one is wanted.
    """

    url: str
    requests: list[Parameters]
    output: Path
    sheet: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what is asked for. Exit status 1: something failed, 2: wrong options, 130: Ctrl-C."""
    try:
        plan = _plan(_parser().parse_args(arguments))
    except InvalidParametersError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        _carry_out(plan)
    except (ClientError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    """An option for every parameter of /generate, which alone knows what is allowed."""
    parser = argparse.ArgumentParser(prog="python -m proxy.cli", description=__doc__, allow_abbrev=False)
    for name, field in Parameters.model_fields.items():
        if name == "caption":
            parser.add_argument("caption", nargs="?", help=field.description)
        else:
            flag = f"-{name}" if len(name) == 1 else "--" + name.replace("_", "-")
            parser.add_argument(flag, dest=name, metavar=name.upper(), help=field.description)
    parser.add_argument("-o", dest="output", type=Path, default=Path(), help="a file for one picture, or a folder")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="draw every line of a file instead")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="all pictures in a grid, with captions below")
    parser.add_argument("--url", default=_URL, help="of the proxy (%(default)s)")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    """The options, checked before anything is drawn. Raises InvalidParametersError."""
    given = {name: value for name in Parameters.model_fields if (value := getattr(options, name)) is not None}
    captions = [{"caption": caption} for caption in _captions(options.captions)] if options.captions else [{}]
    if options.captions and options.caption:
        raise InvalidParametersError.one("caption", options.caption, "none beside --captions")
    if (file_format := _file_format(options.output)) is not None:
        if (options.format or file_format) != file_format:
            raise InvalidParametersError.one("format", options.format, f"{file_format} for {options.output}")
        given["format"] = file_format
    try:
        requests = [Parameters.model_validate({**given, **caption}) for caption in captions]
    except ValidationError as problems:
        raise EASEL.invalid("/generate", problems.errors()) from problems
    count = sum(request.n for request in requests)
    if file_format is not None and count > 1:
        raise InvalidParametersError.one("-o", str(options.output), f"a folder, for {count} pictures")
    if options.sheet is not None and _file_format(options.sheet) is None:
        raise InvalidParametersError.one("--sheet", str(options.sheet), f"a name that ends in {_endings()}")
    try:
        TypeAdapter(HttpUrl).validate_python(options.url)
    except ValidationError as exc:
        raise InvalidParametersError.one("--url", options.url, f"an address such as {_URL}") from exc
    return Plan(options.url, requests, options.output, options.sheet)


def _captions(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeError) as exc:
        raise InvalidParametersError.one("--captions", str(file), f"a text file that can be read ({exc})") from exc
    captions = [line.strip() for line in lines if line.strip()]
    if not captions:
        raise InvalidParametersError.one("--captions", str(file), "a file with a caption on a line")
    return captions


def _file_format(path: Path) -> Format | None:
    """What a name asks for; None for a folder's."""
    if path.is_dir() or not path.suffix:
        return None
    if path.suffix.lower() not in _SUFFIXES or not path.parent.is_dir():
        allowed = f"a folder, or a name in a folder that there is, ending in {_endings()}"
        raise InvalidParametersError.one("file", str(path), allowed)
    return _SUFFIXES[path.suffix.lower()]


def _endings() -> str:
    return ", ".join(_SUFFIXES)


def _carry_out(plan: Plan) -> None:
    """Draw one request after the other, and write each picture when it is there. Raises ClientError, OSError."""
    if _file_format(plan.output) is None:
        plan.output.mkdir(parents=True, exist_ok=True)
    shown = []
    try:
        with Client(plan.url, os.environ.get("EASEL_API_KEY")) as client:
            for number, request in enumerate(plan.requests, 1):
                for name, seed, file in _draw(client, request, f"{number}/{len(plan.requests)} {request.caption}"):
                    path = plan.output if _file_format(plan.output) else plan.output / f"{number:03}-{name}"
                    path.write_bytes(file)
                    print(f"{path}: {request.caption!r}, seed {seed}", flush=True)
                    if plan.sheet is not None:
                        shown.append((file, request.caption))
    finally:  # what was drawn before a failure is shown too
        if plan.sheet is not None and shown:
            _write_sheet(plan.sheet, shown)


def _write_sheet(path: Path, drawn: Sequence[tuple[bytes, str]]) -> None:
    """Files and their captions in one picture. Raises ClientError if its format cannot be so large, OSError."""
    file_format = _SUFFIXES[path.suffix.lower()]
    page = sheet([(Image.open(io.BytesIO(file)), caption) for file, caption in drawn])
    if max(page.size) > (largest := _LARGEST_SIDES.get(file_format, math.inf)):
        size = f"{page.width}x{page.height}"
        raise ClientError(
            f"{path}: the sheet is {size} pixels, {file_format} has at most {largest} a side, png has more"
        )
    path.write_bytes(encode(np.asarray(page), file_format, {}))
    print(path)


def _draw(client: Client, request: Parameters, label: str) -> Iterator[tuple[str, int, bytes]]:
    """Each picture of a request: a name for its file, its seed and the file."""
    # disable=None: no bar unless standard error is a terminal.
    with tqdm(desc=" ".join(label.split()), bar_format=_BAR, leave=False, disable=None, dynamic_ncols=True) as bar:

        def show(name: str, event: Mapping[str, Any]) -> None:
            if name == "queued":
                bar.set_postfix_str(f"waiting, {event['position'] - 1} before")
                return
            bar.n, bar.total = event["step"], event["steps"]
            left = event["seconds_left"]
            bar.set_postfix_str("" if left is None else f"{math.ceil(left)} s left")

        answer = client.draw(request.model_dump(mode="json", exclude_unset=True), show)
    for which in ("caption", "negative_caption"):
        if dropped := answer[f"dropped_{which}"]:
            print(f"the {which} is too long, and was read without its end: {dropped!r}", file=sys.stderr)
    words = re.sub(r"\W+", "-", request.caption.lower())[:_LONGEST_NAME].strip("-")
    for picture in answer["pictures"]:
        yield f"{words}-{picture['seed']}.{request.format}", picture["seed"], b64decode(picture["base64"])


if __name__ == "__main__":
    sys.exit(main())
