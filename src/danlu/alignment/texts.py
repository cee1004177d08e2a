"""Conversations as tensors: what fits, in which order, and several in a row without seeing each other."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.feedback.records import Demonstration, Prompt, Ranking
from danlu.model.config import ModelConfig
from danlu.model.transformer import positions_of
from danlu.tokens.chat import Chat, Text
from danlu.tokens.order import Permutation
from danlu.training.distributed import World
from danlu.training.pieces import tokens_at_once
from danlu.training.run import Engine

U = TypeVar("U")


@dataclass(frozen=True)
class Limits:
    """How long things may be (tokens)."""

    context: int
    """A conversation."""
    prompt: int
    """Its prompt."""


@dataclass(frozen=True)
class RankedTexts:
    """A prompt's completions with their order."""

    texts: tuple[Text, ...]
    ranks: tuple[int, ...]
    lengths: tuple[int, ...]
    """Characters of each completion, for the baseline that looks at nothing else."""
    prompt: Prompt


@dataclass(frozen=True)
class Fitted(Generic[U]):
    """What can be learned from, and how much was left out, by reason."""

    units: tuple[U, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def summary(self, what: str) -> str:
        """One line for a person."""
        out = ", ".join(f"{number} ({reason})" for reason, number in sorted(self.dropped.items()))
        return f"{len(self.units)} {what}" + (f"; left out: {out}" if out else "")

    def require(self, what: str, remedy: str) -> None:
        """Refuse to go on with nothing."""
        if not self.units:
            raise DanluError(f"none of the {what} can be used: {self.summary(what)}.", remedy)


def fit_demonstrations(records: Sequence[Demonstration], chat: Chat, limits: Limits) -> Fitted[Text]:
    """Demonstrations as tokens; those that are too long are left out, never cut."""
    dropped: Counter[str] = Counter()
    kept = []
    for record in records:
        text = _text(chat, record.prompt, record.response, limits)
        if isinstance(text, Text):
            kept.append(text)
        else:
            dropped[text] += 1
    return Fitted(tuple(kept), dict(dropped))


def fit_rankings(records: Sequence[Ranking], chat: Chat, limits: Limits) -> Fitted[RankedTexts]:
    """Rankings as tokens, without completions that are too long and rankings that say nothing."""
    dropped: Counter[str] = Counter()
    kept = []
    for record in records:
        texts: list[Text] = []
        places = []
        for place, completion in enumerate(record.completions):
            text = _text(chat, record.prompt, completion, limits)
            if isinstance(text, Text):
                texts.append(text)
                places.append(place)
            else:
                dropped[f"completion: {text}" if "prompt" not in text else text] += 1
        ranks = tuple(record.ranks[place] for place in places)
        if len(texts) < 2:
            dropped["fewer than two completions left"] += 1
        elif len(set(ranks)) == 1:
            dropped["all tied"] += 1
        else:
            lengths = tuple(len(record.completions[place]) for place in places)
            kept.append(RankedTexts(tuple(texts), ranks, lengths, record.prompt))
    return Fitted(tuple(kept), dict(dropped))


def _text(chat: Chat, prompt: Prompt, response: str, limits: Limits) -> Text | str:
    """A prompt with a response, or why it does not fit."""
    text = chat.text(to_mapping(prompt), response)
    if text.start > limits.prompt:
        return f"prompt longer than {limits.prompt} tokens"
    if len(text.tokens) > limits.context:
        return f"longer than {limits.context} tokens"
    return text


@dataclass(frozen=True)
class Order:
    """Which units each optimizer step sees: every one once an epoch, in an order drawn anew for each."""

    count: int
    batch_size: int
    epochs: float
    seed: int

    @property
    def total(self) -> int:
        """Units of the whole run, repeated ones counted each time."""
        return max(1, round(self.epochs * self.count))

    @property
    def steps(self) -> int:
        """Optimizer steps; the last may hold fewer units."""
        return -(-self.total // self.batch_size)

    def units(self, step: int) -> list[int]:
        """The numbers of a step's units, over all processes."""
        places = np.arange(step * self.batch_size, min((step + 1) * self.batch_size, self.total), dtype=np.int64)
        found: list[int] = []
        for epoch in np.unique(places // self.count).tolist():
            here = places[places // self.count == epoch] - epoch * self.count
            found += Permutation(self.count, (self.seed, epoch))(here).tolist()
        return found


@dataclass(frozen=True)
class TextBatch:
    """Texts in rows, each seeing itself alone."""

    tokens: Tensor
    """(R, T) int64."""
    targets: Tensor
    """(R, T) int64: the token after each where that is to be learned, else -1."""
    segments: Tensor
    """(R, T) int64: which text a token belongs to, numbered through the batch; -1: padding."""
    positions: Tensor
    """(R, T) int64, within its text."""
    ends: Tensor
    """(N,) int64: the last token of each text, as a place in the flattened rows."""
    shared: Tensor | None = None
    """(R, T, 2) int64: what a token sees of its row before its own segment, from the first place up to the second."""

    @property
    def num_targets(self) -> int:
        """Targets that count."""
        return int((self.targets >= 0).sum())

    def per_text(self, values: Tensor) -> Tensor:
        """Sums of values (R, T) over each text, (N,)."""
        real = self.segments >= 0
        return values.new_zeros(len(self.ends)).index_add(0, self.segments[real], values[real])


def collate(
    texts: Sequence[Text],
    pad: int,
    device: torch.device,
    *,
    width: int | None = None,
    left_padding: int = 0,
    whole: bool = False,
) -> TextBatch:
    """Put texts into rows.

    Args:
        width: rows may hold several texts of together so many tokens; None: a row a text.
        left_padding: padding tokens before every row, as rows from elsewhere may have; changes nothing but rounding.
        whole: whether the prompt's tokens are targets too.
    """
    rows = _rows([len(text.tokens) for text in texts], width or 0)
    length = rounded_up(left_padding + max((sum(len(texts[i].tokens) for i in row) for row in rows), default=1))
    tokens = torch.full((max(1, len(rows)), length), pad)
    targets, segments = torch.full_like(tokens, -1), torch.full_like(tokens, -1)
    ends = torch.zeros(len(texts), dtype=torch.int64)
    for number, row in enumerate(rows):
        at = left_padding
        for i in row:
            text = texts[i]
            size, first = len(text.tokens), 1 if whole else text.start
            ids = torch.tensor(text.tokens)
            tokens[number, at : at + size] = ids
            targets[number, at + first - 1 : at + size - 1] = ids[first:]
            segments[number, at : at + size] = i
            ends[i] = number * length + at + size - 1
            at += size
    moved = [x.to(device) for x in (tokens, targets, segments, positions_of(segments), ends)]
    return TextBatch(*moved)


def collate_groups(
    groups: Sequence[Sequence[Text]], pad: int, device: torch.device, *, packing: bool = True, left_padding: int = 0
) -> TextBatch:
    """Put the texts of some groups into rows, where the prompt that a group has in common stands once, before what
    follows it in each text. Of some tokens with four continuations, four in ten need not be read again.

    Args:
        groups: texts of one prompt each, at least one.
        packing: rows may hold several groups, up to the length of the longest; else a row a group.
        left_padding: see `collate`.

    Returns:
        Without targets.
    """
    prompts = [_common_prompt(group) for group in groups]
    sizes = [group_tokens(group) for group in groups]
    rows = _rows(sizes, max(sizes, default=0) if packing else 0)
    length = rounded_up(left_padding + max((sum(sizes[i] for i in row) for row in rows), default=1), 32)
    tokens = torch.full((max(1, len(rows)), length), pad)
    segments, positions = torch.full_like(tokens, -1), torch.zeros_like(tokens)
    shared = torch.zeros(*tokens.shape, 2, dtype=torch.int64)
    firsts = np.cumsum([0, *(len(group) for group in groups)]).tolist()
    ends = torch.zeros(firsts[-1], dtype=torch.int64)
    segment = 0
    for number, row in enumerate(rows):
        at = left_padding
        for i in row:
            prompt = prompts[i]
            begin, behind = at, at + len(prompt)
            parts = [(prompt, 0), *((text.tokens[len(prompt) :], len(prompt)) for text in groups[i])]
            for part, (ids, place) in enumerate(parts):
                here = slice(at, at + len(ids))
                tokens[number, here] = torch.tensor(ids, dtype=torch.int64)
                segments[number, here] = segment
                positions[number, here] = torch.arange(place, place + len(ids))
                if part:
                    shared[number, here] = torch.tensor([begin, behind])
                    ends[firsts[i] + part - 1] = number * length + here.stop - 1
                at, segment = here.stop, segment + 1
    moved = [x.to(device) for x in (tokens, torch.full_like(tokens, -1), segments, positions, ends, shared)]
    return TextBatch(*moved)


def rounded_up(length: int, step: int = 8) -> int:
    """A row's length with padding up to a multiple of `step`: a processor prepares every product of a new shape for
    about a millisecond, so that steps whose rows all differ take half as long again (NOTES.md, entry 47)."""
    return -(-length // step) * step


def group_tokens(group: Sequence[Text]) -> int:
    """Tokens that `collate_groups` needs for a group."""
    return sum(len(text.tokens) for text in group) - (len(group) - 1) * len(_common_prompt(group))


def _common_prompt(group: Sequence[Text]) -> tuple[int, ...]:
    """What all texts of a group begin with, if it is the prompt of each; else nothing."""
    prompt = group[0].tokens[: group[0].start]
    alike = all(text.start == len(prompt) and text.tokens[: text.start] == prompt for text in group)
    return prompt if alike and all(len(text.tokens) > len(prompt) for text in group) else ()


def _rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Which texts stand in which row: the longest first, each in the first row with room for it."""
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = next((row for row, left in enumerate(room) if left >= lengths[i]), None)
        if place is None:
            rows.append([i])
            room.append(width - lengths[i])
        else:
            rows[place].append(i)
            room[place] -= lengths[i]
    return rows


def shares(units: Sequence[int], world: World, piece: int) -> Iterator[list[int]]:
    """This process's part of a step's units in pieces; every process gets equally many, empty ones perhaps."""
    mine = list(units[world.share(len(units))])
    for first in range(0, world.largest_share(len(units)), piece):
        yield mine[first : first + piece]


def piece_size(chosen: int | None, mean_tokens: float, model: ModelConfig, engine: Engine) -> int:
    """Units that go through the model at once."""
    if chosen is not None:
        return chosen
    return max(1, round(tokens_at_once(model, engine.device, engine.world.size) / max(1.0, mean_tokens)))
