r"""The text that AUTOMATIC1111's programs write into pictures, and read from them.

    red heart
    Negative prompt: blurry
    Steps: 20, Sampler: Euler, CFG scale: 7.5, Seed: 1, Size: 128x128, Model: emoji

A caption may have lines that look like the others, or blanks that a reader takes away. One that would come back
otherwise is said once more on the last line, quoted as JSON, under a name that other programs pass over.
"""

import json
import re
from dataclasses import dataclass

_NEGATIVE = "Negative prompt:"
_EXACT = {"Prompt": "Easel caption", "Negative prompt": "Easel negative caption"}
# A text whose last line has fewer fields is all caption.
_FEWEST_FIELDS = 3
_NAME = re.compile(r"\s*(\w[\w /-]{0,63}):\s*")
# Possessive: what could be tried again would take a hundred bytes of memory a character.
_QUOTED = re.compile(r'("(?:\\.|[^"\\])*+")\s*+(?:,|$)')
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})")
_SPECIAL = frozenset(',:"\n')


@dataclass(frozen=True)
class Infotext:
    """What decides a picture. sampler: as AUTOMATIC1111 calls it. width, height: in pixels."""

    caption: str
    negative_caption: str
    steps: int
    sampler: str
    guidance_scale: float
    seed: int
    width: int
    height: int
    model: str

    def __str__(self) -> str:
        """The text; `fields` reads from it what was written."""
        captions = [self.caption]
        if self.negative_caption:
            captions.append(f"{_NEGATIVE} {self.negative_caption}")
        scale = int(self.guidance_scale) if self.guidance_scale.is_integer() else self.guidance_scale
        written = {
            "Steps": self.steps,
            "Sampler": _quoted(self.sampler),
            "CFG scale": scale,
            "Seed": self.seed,
            "Size": f"{self.width}x{self.height}",
            "Model": _quoted(self.model),
        }
        read = _captions("\n".join([*captions, "-"]).strip().split("\n")[:-1])
        for name, meant in (("Prompt", self.caption), ("Negative prompt", self.negative_caption)):
            if read[name] != meant:
                written[_EXACT[name]] = json.dumps(meant)
        return "\n".join([*captions, ", ".join(f"{name}: {value}" for name, value in written.items())])


def fields(text: str) -> dict[str, str]:
    """Every field of any program's text, both captions among them; a size is two, `Size-1` and `Size-2`."""
    *lines, last = text.strip().split("\n")
    found = _fields(last)
    if len(found) < _FEWEST_FIELDS:
        lines, found = [*lines, last], {}
    captions = _captions(lines)
    exact = {name: found.pop(key) for name, key in _EXACT.items() if key in found}
    sized: dict[str, str] = {}
    for name, value in found.items():
        size = _SIZE.fullmatch(value) if name.lower().endswith("size") else None
        sized.update({f"{name}-1": size[1], f"{name}-2": size[2]} if size else {name: value})
    return {**sized, **captions, **exact}


def _captions(lines: list[str]) -> dict[str, str]:
    """Both captions, as AUTOMATIC1111 reads them: the second begins where a line says so."""
    captions: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    name = "Prompt"
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            name = "Negative prompt"
        captions[name].append(line.removeprefix(_NEGATIVE).strip())
    return {name: "\n".join(parts) for name, parts in captions.items()}


def _fields(line: str) -> dict[str, str]:
    """`name: value` with commas between; values with commas are quoted. Takes time in proportion to the line."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        name = _NAME.match(line, position)
        if name and (quoted := _QUOTED.match(line, name.end())):
            found[name[1]] = _unquoted(quoted[1])
            position = quoted.end()
        else:
            comma = line.find(",", position)
            end = len(line) if comma < 0 else comma
            if name:
                found[name[1]] = line[name.end() : end].strip()
            position = end + 1
    return found


def _quoted(value: str) -> str:
    return json.dumps(value) if _SPECIAL & set(value) or value != value.strip() else value


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value)).encode(errors="replace").decode()  # JSON may escape halves of characters
    except ValueError:
        return value
