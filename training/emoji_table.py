"""`python -m training.emoji_table FOLDER`: makes emoji.tsv from an unpacked emojibase-data package."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from training.pictures import EMOJI_TABLE

NEWEST_EMOJI_VERSION = 15  # what the font draws
# People's many variants look alike at this size; flags and signs are all text.
GROUPS = ("smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects", "symbols")
SYMBOLS = ("geometric",)
CLOCK_FACES = ("o\u2019clock", "-thirty")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m training.emoji_table", description=__doc__)
    parser.add_argument("folder", type=Path, help="the package's folder, which holds en/data.json")
    folder = parser.parse_args().folder / "en"
    entries = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    messages = json.loads((folder / "messages.json").read_text(encoding="utf-8"))
    groups = {group["order"]: group["key"] for group in messages["groups"]}
    subgroups = {subgroup["order"]: subgroup["key"] for subgroup in messages["subgroups"]}
    with EMOJI_TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["codepoints", "name", "group", "keywords"])
        for entry in entries:
            group = groups.get(entry.get("group"), "")
            if _wanted(entry, group, subgroups.get(entry.get("subgroup"), "")):
                keywords = ", ".join(_plain(tag) for tag in entry.get("tags", []))
                table.writerow([entry["hexcode"], _plain(entry["label"]), group, keywords])


def _wanted(entry: dict[str, Any], group: str, subgroup: str) -> bool:
    if group not in GROUPS or entry["version"] > NEWEST_EMOJI_VERSION or entry["label"].endswith(CLOCK_FACES):
        return False
    return group != "symbols" or subgroup in SYMBOLS


def _plain(text: str) -> str:
    return text.replace("\u2019", "'").lower()


if __name__ == "__main__":
    main()
