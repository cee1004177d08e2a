"""Held-out loss: nats a token and bits a byte, in total and by source."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.model.transformer import Transformer
from danlu.tokens.dataset import TokenDataset

_BATCH_TOKENS = 8192
_REHEARSED = 2
"""Batches of a rehearsal."""
# With fewer documents the spread between them says little; windows of the context stand in for them.
_FEWEST_DOCUMENTS = 8


@dataclass(frozen=True)
class SourceLoss:
    """The loss on the documents of one source."""

    source: str
    """Name of the source."""
    loss: float
    """Nats a token."""
    bits_per_byte: float
    """Bits a byte of text: comparable between tokenizers."""
    tokens: int
    """Tokens predicted."""
    bytes: int
    """Length of the text (UTF-8 bytes)."""
    documents: int
    """Documents."""


@dataclass(frozen=True)
class Evaluation:
    """The loss on held-out text; evaluation.json."""

    loss: float
    """Nats a token."""
    loss_se: float
    """Its standard error, documents (or windows, where there are few) drawn anew (nats a token)."""
    bits_per_byte: float
    """Bits a byte of text: comparable between tokenizers."""
    tokens: int
    """Tokens predicted."""
    bytes: int
    """Length of the text (UTF-8 bytes)."""
    by_source: tuple[SourceLoss, ...]
    """The same for each source."""


def evaluate_tokens(model: Transformer, heldout: TokenDataset, context: int) -> Evaluation:
    """The loss on every token of a stream but its first, each predicted once.

    Windows of the context follow one another without overlap and begin anew with each document: a token sees its
    document's text before it, up to a context of it, and nothing of another document. What a document's source chose
    is then all before the model, so a known source entropy is the floor of this loss where documents fit the context.

    Args:
        heldout: a stream that keeps where its documents lie.

    Raises:
        DanluError: the stream is too short.
    """
    if heldout.num_tokens < 2:
        raise DanluError(f"{heldout.folder} has no held-out text.", "Give more text.")
    losses = _losses(model, heldout, context)  # of tokens 1, 2, ...
    spans = heldout.documents
    starts = np.array([max(0, span.offset - 1) for span in spans])
    sums = np.add.reduceat(losses, starts)
    counts = np.diff(np.append(starts, losses.size))
    parts: dict[str, list[int]] = defaultdict(list)
    for index, span in enumerate(spans):
        parts[span.source].append(index)
    by_source = []
    for source, members in sorted(parts.items()):
        nats, tokens = float(sums[members].sum()), int(counts[members].sum())
        length = sum(spans[index].bytes for index in members)
        by_source.append(SourceLoss(source, nats / tokens, _bits(nats, length), tokens, length, len(members)))
    length = sum(span.bytes for span in spans)
    units = starts if len(spans) >= _FEWEST_DOCUMENTS else np.arange(0, losses.size, context)
    return Evaluation(
        loss=float(losses.mean()),
        loss_se=_standard_error(losses, units),
        bits_per_byte=_bits(float(losses.sum()), length),
        tokens=losses.size,
        bytes=length,
        by_source=tuple(by_source),
    )


def heldout_evaluator(tokens: Path, context: int) -> Callable[[Transformer], tuple[float, float]]:
    """A function from a model to its held-out loss and the loss's standard error (nats a token).

    Args:
        tokens: folder that `build_tokens` wrote.
    """
    heldout = TokenDataset(tokens / "heldout")

    def evaluate(model: Transformer) -> tuple[float, float]:
        result = evaluate_tokens(model, heldout, context)
        return result.loss, result.loss_se

    return evaluate


def heldout_rehearsal(tokens: Path, context: int) -> Callable[[Transformer], int]:
    """A function that measures a model on a few of its held-out batches, the largest, and says how many tokens it read:
    to know what a whole measurement takes.

    Args:
        tokens: folder that `build_tokens` wrote.
    """
    heldout = TokenDataset(tokens / "heldout")

    def evaluate(model: Transformer) -> int:
        batches = sorted(_batches(_windows(heldout, context)), key=_tokens)[-_REHEARSED:]
        for windows in batches:
            _batch_losses(model, heldout, windows)
        return sum(map(_tokens, batches))

    return evaluate


def _standard_error(losses: NDArray[np.float64], starts: NDArray[np.intp]) -> float:
    """Of the mean loss, if the stretches that begin at `starts` were drawn anew.

    A ratio of two sums over stretches, linearised (Cochran 1977, section 2.11).
    """
    counts = np.diff(np.append(starts, losses.size))
    deviations = np.add.reduceat(losses, starts) - losses.mean() * counts
    spread = float(np.square(deviations).sum()) * len(starts) / max(1, len(starts) - 1)
    return math.sqrt(spread) / losses.size


def _losses(model: Transformer, stream: TokenDataset, context: int) -> NDArray[np.float64]:
    """The loss of each token but the first, in nats."""
    losses = np.empty(stream.num_tokens - 1)
    for windows in _batches(_windows(stream, context)):
        found = _batch_losses(model, stream, windows)
        for row, (start, length) in enumerate(windows):
            losses[start : start + length] = found[row, :length]
    return losses


def _batch_losses(model: Transformer, stream: TokenDataset, windows: list[tuple[int, int]]) -> NDArray[np.float64]:
    """The losses of some windows' tokens, in nats (windows, longest); the end of a shorter row means nothing."""
    device = next(model.parameters()).device
    width = max(length for _, length in windows)
    tokens = np.zeros((len(windows), width + 1), np.int64)
    for row, (start, length) in enumerate(windows):
        tokens[row, : length + 1] = stream.slice(start, start + length + 1)
    rows = torch.from_numpy(tokens).to(device)
    return model.token_losses(rows[:, :-1].contiguous(), rows[:, 1:].contiguous()).double().cpu().numpy()


def _windows(stream: TokenDataset, context: int) -> list[tuple[int, int]]:
    """First input and length of each window, short ones first.

    Each document is cut from its start on; its first token is predicted from the end of the document before.
    """
    found = []
    for span in stream.documents:
        first, end = max(0, span.offset - 1), span.offset + span.tokens - 1
        found += [(start, min(context, end - start)) for start in range(first, end, context)]
    return sorted(found, key=lambda window: window[1])


def _batches(windows: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Windows of like lengths, as many at once as a batch holds."""
    batch: list[tuple[int, int]] = []
    for window in windows:
        if batch and (len(batch) + 1) * window[1] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _tokens(windows: list[tuple[int, int]]) -> int:
    return sum(length for _, length in windows)


def _bits(nats: float, length: int) -> float:
    return nats / math.log(2) / length
