"""Thumbs of the chat page as TRL's unpaired preferences: {"prompt", "completion", "label"}."""

from collections.abc import Iterator
from typing import Any

from danlu.feedback.desk import Desk


def unpaired(desk: Desk) -> Iterator[dict[str, Any]]:
    """Each answer that somebody has an opinion of, with the last one that they gave; conversations as messages."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for event in desk.log.events(kinds=["thumb"]):
        last[event.annotator, str(event.body["message"])] = dict(event.body)
    for body in last.values():
        if body["value"]:
            completion = [{"role": "assistant", "content": body["completion"]}]
            yield {"prompt": body["prompt"], "completion": completion, "label": body["value"] > 0}
