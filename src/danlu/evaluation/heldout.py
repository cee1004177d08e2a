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

    The stream is cut into windows of the context that follow one another without overlap, so a token sees between none
    and all of a context before it: the same for every model of a ladder.

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
    pieces = [model.token_losses(x, y)[:, :length] for x, y, length in _windows(stream, context, model)]
    return torch.cat([piece.flatten().double().cpu() for piece in pieces]).numpy()


def _windows(
    stream: TokenDataset, context: int, model: Transformer
) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
    """Batches of inputs and targets (B, T) and how many targets of each row are real; the last window is padded."""
    device = next(model.parameters()).device
    total = stream.num_tokens - 1
    rows = max(1, _BATCH_TOKENS // context)
    whole = total // context
    for first in range(0, whole, rows):
        count = min(rows, whole - first)
        data = stream.slice(first * context, (first + count) * context + 1).astype(np.int64)
        flat = torch.from_numpy(data).to(device)
        yield flat[:-1].view(count, context), flat[1:].view(count, context), context
    if rest := total - whole * context:
        data = stream.slice(whole * context, stream.num_tokens).astype(np.int64)
        flat = torch.from_numpy(data).to(device)
        yield flat[:-1][None], flat[1:][None], rest


def _bits(nats: float, length: int) -> float:
    return nats / math.log(2) / length
