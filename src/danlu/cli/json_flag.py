"""What the planner's verbs share: `--json` with and without a file, and dates."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from danlu.common.files import write_atomic


def json_words(words: list[str]) -> list[str]:
    """The words with `--json` given the file `-`, standard output, where no file follows it."""
    full: list[str] = []
    for index, word in enumerate(words):
        full.append(word)
        after = words[index + 1] if index + 1 < len(words) else "--"
        if word == "--json" and after.startswith("--"):
            full.append("-")
    return full


def print_json(value: Any, place: str) -> None:
    """Write a JSON value to a file, or to standard output where the place is `-`."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if place == "-":
        print(text)
    else:
        write_atomic(Path(place), text + "\n")
        print(f"wrote {place}")


def day(text: str | None) -> date:
    """The date that a flag means; today where it is absent."""
    from danlu.planner.dates import parse_date

    return parse_date(text) if text else date.today()
