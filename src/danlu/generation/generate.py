"""Text from prompts: a batch that is decoded step by step until every row has ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.sampling import RandomStreams, choose
from danlu.generation.text import StopTexts, TextStream, join, start_token, stop_tokens, token_bytes
from danlu.model.transformer import Transformer

FinishReason = Literal["stop", "length"]

# Ended rows are dropped from the batch when no more than this share is left: dropping copies the cache of the others.
_KEEP_SHARE = 0.75


@dataclass(frozen=True)
class Generation:
    """What was added to one prompt."""

    text: str
    """The text, without special tokens and up to the stop text."""
    tokens: tuple[int, ...]
    """All tokens that were drawn, the one that ended it included."""
    finish_reason: FinishReason
    """`stop`: a stop token or text; `length`: max_new_tokens or the model's context."""
    logprobs: tuple[float, ...]
    """Log-probability (nats) of each token under softmax(logits / temperature), before top_k, top_p and min_p."""


@dataclass(frozen=True)
class _Ends:
    texts: StopTexts
    signs: Tensor  # (tokens,) uint8: 0 where a token ends nothing, or one of the two below


_ENDS = 1  # a stop token
_MAY_END = 2  # may complete a stop text


class Generator:
    """A decoder with its tokenizer, and what is worked out from the vocabulary once.

    Args:
        model: a decoder, or a transformer whose weights are taken as they are now.
        tokenizer: its tokenizer.
        stop: tokens that end a text; by default those that the tokenizer has for it.
    """

    def __init__(self, model: Decoder | Transformer, tokenizer: Tokenizer, stop: Sequence[int] | None = None) -> None:
        self.decoder = model if isinstance(model, Decoder) else Decoder.of(model)
        self.tokenizer = tokenizer
        self.table = token_bytes(tokenizer)
        self.stop_tokens = stop_tokens(tokenizer) if stop is None else tuple(stop)
        self._ends: dict[tuple[str, ...], _Ends] = {}
        if len(self.table) > self.decoder.config.vocab_size:
            raise DanluError(
                f"the tokenizer knows {len(self.table)} tokens, the model {self.decoder.config.vocab_size}.",
                "Use the tokenizer that the model was trained with.",
            )

    def generate(
        self,
        prompts: Sequence[str] | Sequence[Sequence[int]],
        config: SamplingConfig,
        *,
        ids: Sequence[int] | None = None,
        batch_size: int = 64,
    ) -> list[Generation]:
        """Continue every prompt.

        A result depends on the model, the prompt, its id and the configuration, not on the prompts beside it: exactly
        so on a processor, and up to the rounding of the matrix library on an accelerator.

        Args:
            prompts: texts, or tokens. An empty one starts a new document.
            ids: a number for each prompt, which names its random stream; by default its place in the list.
            batch_size: most prompts that are decoded together; memory grows with it.

        Raises:
            DanluError: a prompt fills the model's context.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        numbers = list(range(len(encoded))) if ids is None else list(ids)
        assert len(numbers) == len(encoded)
        # Prompts of like length together: the cache of a batch is as long as its longest row.
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        results: dict[int, Generation] = {}
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = _Batch(self, [encoded[i] for i in rows], [numbers[i] for i in rows], config)
            while batch.step() is not None:
                pass
            results |= zip(rows, batch.results(), strict=True)
        return [results[i] for i in range(len(encoded))]

    def stream(self, prompt: str | Sequence[int], config: SamplingConfig, *, number: int = 0) -> Iterator[str]:
        """Continue one prompt, giving the text piece by piece as it is certain; joined, it is `generate`'s.

        Args:
            number: of the prompt, which names its random stream.

        Raises:
            DanluError: the prompt fills the model's context.
        """
        batch = _Batch(self, [self._encode(prompt)], [number], config)
        text = TextStream(self.table, self.ends(config.stop).texts)
        while (tokens := batch.step()) is not None:
            piece, ended = text.add(tokens[0])
            if piece:
                yield piece
            if ended:
                return
        if rest := text.finish():
            yield rest

    def ends(self, stop: tuple[str, ...]) -> "_Ends":
        """What ends a generation with these stop texts."""
        if stop not in self._ends:
            texts = StopTexts(stop, self.table)
            signs = torch.tensor(texts.may_end, dtype=torch.uint8) * _MAY_END
            signs[list(self.stop_tokens)] = _ENDS
            self._ends[stop] = _Ends(texts, signs)
        return self._ends[stop]

    def _encode(self, prompt: str | Sequence[int]) -> list[int]:
        tokens = self.tokenizer.encode(prompt).ids if isinstance(prompt, str) else list(prompt)
        if not tokens:
            start = start_token(self.tokenizer)
            if start is None:
                raise DanluError(
                    "a prompt is empty, and the tokenizer has no token that begins a text.", "Give a text."
                )
            tokens = [start]
        context = self.decoder.config.max_position_embeddings
        if len(tokens) >= context:
            raise DanluError(
                f"a prompt has {len(tokens)} tokens, and the model's context is {context}.",
                f"Shorten it to {context - 1} tokens or fewer.",
            )
        return tokens


class _Batch:
    """Rows that are decoded together. `rows` are those still in the cache, as places in the batch's lists."""

    def __init__(
        self, generator: Generator, prompts: list[list[int]], numbers: list[int], config: SamplingConfig
    ) -> None:
        self._decoder, self._table, self._config = generator.decoder, generator.table, config
        self._ends = generator.ends(config.stop)
        device, context = self._decoder.device, self._decoder.config.max_position_embeddings
        lengths = [len(prompt) for prompt in prompts]
        limits = [min(config.max_new_tokens, context - length) for length in lengths]
        steps = max(limits)
        self._limits = torch.tensor(limits)
        self._tokens = torch.zeros(len(prompts), steps, dtype=torch.int64)
        self._logprobs = torch.zeros(len(prompts), steps)
        self._counts = torch.zeros(len(prompts), dtype=torch.int64)
        self._stopped = torch.zeros(len(prompts), dtype=torch.bool)
        self._rows = torch.arange(len(prompts))
        self._step = 0
        self._streams = RandomStreams(config.seed, torch.tensor(numbers).to(device), steps, len(self._table))
        self._positions = torch.tensor(lengths).to(device)
        capacity = max(length + limit for length, limit in zip(lengths, limits, strict=True))
        self._logits, self._cache = self._decoder.prefill(prompts, capacity)
        self._drawn = torch.zeros_like(self._positions)

    @torch.inference_mode()
    def step(self) -> list[int] | None:
        """Draw a token for every row in the cache, and return them; None when all have ended."""
        live = self._live()
        if not live.any():
            return None
        if self._step:
            live = self._advance(live)
        # Rows of the embedding that pad it to a round size stand for no token.
        logits = self._logits[:, : len(self._table)]
        self._drawn, logprobs = choose(logits, self._streams, self._step, self._config)
        tokens = self._drawn.cpu()
        self._tokens[self._rows, self._step] = tokens
        self._logprobs[self._rows, self._step] = logprobs.cpu()
        self._step += 1
        self._counts[self._rows[live]] = self._step
        signs = self._ends.signs[tokens]
        ended = signs == _ENDS
        for place in ((signs == _MAY_END) & live).nonzero()[:, 0].tolist():
            drawn = self._tokens[self._rows[place], : self._step].tolist()
            ended[place] = self._ends.texts.find(b"".join(self._table[token] for token in drawn)) is not None
        self._stopped[self._rows[live & ended]] = True
        return tokens.tolist()

    def _live(self) -> Tensor:
        """Which rows of the cache go on."""
        return ~self._stopped[self._rows] & (self._limits[self._rows] > self._step)

    def _advance(self, live: Tensor) -> Tensor:
        """Compute the logits behind the tokens drawn last; returns which rows of the cache go on."""
        device = self._decoder.device
        if int(live.sum()) <= _KEEP_SHARE * len(live):
            kept = live.nonzero()[:, 0]
            self._rows, live = self._rows[kept], live[kept]
            kept = kept.to(device)
            self._drawn, self._positions = self._drawn[kept], self._positions[kept]
            self._cache.keep(kept)
            self._streams.keep(kept)
        self._logits = self._decoder.step(self._drawn, self._positions, self._cache)
        self._positions = self._positions + live.to(device)  # an ended row writes to one place over and over
        return live

    def results(self) -> list[Generation]:
        """What was drawn, in the order of the prompts."""
        found = []
        for tokens, logprobs, count, stopped in zip(
            self._tokens.tolist(), self._logprobs.tolist(), self._counts.tolist(), self._stopped.tolist(), strict=True
        ):
            drawn = tuple(tokens[:count])
            reason: FinishReason = "stop" if stopped else "length"
            found.append(Generation(join(self._table, drawn, self._ends.texts), drawn, reason, tuple(logprobs[:count])))
        return found


def generate(
    model: Decoder | Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    config: SamplingConfig,
    *,
    ids: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[Generation]:
    """Continue every prompt; see `Generator.generate`."""
    return Generator(model, tokenizer).generate(prompts, config, ids=ids, batch_size=batch_size)
