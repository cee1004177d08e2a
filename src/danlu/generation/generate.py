"""Text from prompts: a batch that is decoded step by step until every row has ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.generation.batch import ENDS, MAY_END, Batch, Ends, FinishReason, draw
from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.text import StopTexts, TextStream, join, start_token, stop_tokens, token_bytes
from danlu.model.transformer import Transformer


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


class _TextEnds(NamedTuple):
    texts: StopTexts
    ends: Ends


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
        self._ends: dict[tuple[str, ...], _TextEnds] = {}
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
        batch_size: int | None = None,
    ) -> list[Generation]:
        """Continue every prompt.

        A result depends on the model, the prompt, its id and the configuration, not on the prompts beside it: exactly
        so on a processor, and up to the rounding of the matrix library on an accelerator.

        Args:
            prompts: texts, or tokens. An empty one starts a new document.
            ids: a number for each prompt, which names its random stream; by default its place in the list.
            batch_size: most prompts that are decoded together; memory grows with it. None: as many as suit the device.

        Raises:
            DanluError: a prompt fills the model's context.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        texts, ends = self.ends(config.stop)
        drawn = draw(self.decoder, encoded, config, ends, numbers=ids, batch_size=batch_size)
        return [Generation(join(self.table, d.tokens, texts), d.tokens, d.finish_reason, d.logprobs) for d in drawn]

    def stream(self, prompt: str | Sequence[int], config: SamplingConfig, *, number: int = 0) -> Iterator[str]:
        """Continue one prompt, giving the text piece by piece as it is certain; joined, it is `generate`'s.

        Args:
            number: of the prompt, which names its random stream.

        Raises:
            DanluError: the prompt fills the model's context.
        """
        texts, ends = self.ends(config.stop)
        batch = Batch(self.decoder, [self._encode(prompt)], [number], config, ends)
        text = TextStream(self.table, texts)
        while (tokens := batch.step()) is not None:
            piece, ended = text.add(tokens[0])
            if piece:
                yield piece
            if ended:
                return
        if rest := text.finish():
            yield rest

    def ends(self, stop: tuple[str, ...]) -> _TextEnds:
        """What ends a generation with these stop texts."""
        if stop not in self._ends:
            texts = StopTexts(stop, self.table)
            signs = torch.tensor(texts.may_end, dtype=torch.uint8) * MAY_END
            signs[list(self.stop_tokens)] = ENDS

            def completed(tokens: list[int]) -> bool:
                return texts.find(b"".join(self.table[token] for token in tokens)) is not None

            self._ends[stop] = _TextEnds(texts, Ends(signs, completed))
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


def generate(
    model: Decoder | Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    config: SamplingConfig,
    *,
    ids: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> list[Generation]:
    """Continue every prompt; see `Generator.generate`."""
    return Generator(model, tokenizer).generate(prompts, config, ids=ids, batch_size=batch_size)
