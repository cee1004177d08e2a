"""Thumbs of the chat page: what somebody thinks of one answer, with nothing beside it to compare it with."""

from collections.abc import Iterator
from dataclasses import dataclass

from danlu.common.strict import from_mapping
from danlu.feedback.records import Message, Prompt
from danlu.feedback.store import Store


@dataclass(frozen=True)
class Thumb:
    """An opinion of an answer."""

    prompt: Prompt
    completion: str
    is_good: bool


def thumbs(store: Store) -> Iterator[Thumb]:
    """Each answer that somebody has an opinion of, with the last one that they gave, in the order of the first ones."""
    last = {(event.annotator, str(event.body["message"])): event.body for event in store.log.events(kinds=["thumb"])}
    for body in last.values():
        if body["value"]:  # 0: taken back
            prompt = tuple(from_mapping(Message, turn, "the store") for turn in body["prompt"])
            yield Thumb(prompt, body["completion"], body["value"] > 0)
