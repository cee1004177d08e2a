"""Queries: prompts ready to be answered, as tokens, from any file of prompts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.feedback.files import rows
from danlu.feedback.formats import messages_of
from danlu.feedback.records import Prompt, prompt_of

_KEYS = ("prompt", "messages", "question", "instruction")


@dataclass(frozen=True)
class Query:
    """A prompt as the policy sees it, and what a reward may want to know about it."""

    prompt: Prompt
    """The conversation so far."""
    tokens: tuple[int, ...] = ()
    """It as the policy's tokens, up to where its response begins."""
    answer: str = ""
    """The right answer, where the task has one that a program can check."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its source knows about it: plain JSON values."""


@dataclass(frozen=True)
class Encoded:
    """Queries with their tokens."""

    queries: tuple[Query, ...]
    too_long: int
    """Dropped: the prompt leaves no room for a response."""


def read_queries(path: Path) -> list[Query]:
    """The prompts of a file (json, jsonl, parquet): one a row, under `prompt` (a text or messages), `messages` (up to
    the last that is not the assistant's), `question` (gsm8k: the answer beside it is kept) or `instruction`.

    Raises:
        DanluError: a row has none of these, or the file none at all.
    """
    found = [_query(row, where) for where, row in rows(path)]
    if not found:
        raise DanluError(f"{path} holds no prompt.", "Give a file with one prompt a line.")
    return found


def _query(row: Mapping[str, Any], where: str) -> Query:
    key = next((key for key in _KEYS if row.get(key)), None)
    if key is None:
        raise DanluError(
            f"{where}: there is no prompt in a row with {', '.join(map(str, row)) or 'nothing'}.",
            'Write one prompt a row: {"prompt": "..."} or {"prompt": [{"role": "user", "content": "..."}]}.',
        )
    value = row[key]
    if isinstance(value, str):
        prompt = prompt_of(value)
    else:
        prompt = messages_of(value, where)
        while prompt and prompt[-1].role == "assistant":
            prompt = prompt[:-1]
    if not prompt or not any(message.content.strip() for message in prompt):
        raise DanluError(f"{where}: the prompt is empty.", "Give what the user says, or remove the row.")
    answer, labels = row.get("answer", ""), row.get("labels", {})
    if not isinstance(answer, str) or not isinstance(labels, Mapping):
        raise DanluError(f"{where}: answer must be a text and labels a table.", "Correct the row.")
    return Query(prompt, answer=answer, labels=labels)


def fitting(queries: Iterable[Query], context: int, max_new_tokens: int) -> Encoded:
    """Those that leave room for a response; never cut, for what is cut off may be the question.

    Raises:
        DanluError: none does.
    """
    every = list(queries)
    kept = tuple(query for query in every if 0 < len(query.tokens) <= context - max_new_tokens)
    if not kept:
        shortest = min((len(query.tokens) for query in every), default=0)
        raise DanluError(
            f"no prompt leaves room for {max_new_tokens} new tokens in the model's context of {context}; the shortest"
            f" has {shortest}.",
            "Give a smaller --max-new-tokens, shorter prompts or a model with a longer context.",
        )
    return Encoded(kept, len(every) - len(kept))


def distinct(queries: Sequence[Query]) -> list[Query]:
    """Each prompt once, in order of first appearance."""
    seen: dict[Prompt, Query] = {}
    for query in queries:
        seen.setdefault(query.prompt, query)
    return list(seen.values())
