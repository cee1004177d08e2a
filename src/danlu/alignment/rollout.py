"""Rollouts: responses sampled from the policy as it is, with what is needed to score and learn from them.

What is sampled from is exactly what is scored later: softmax(logits / temperature) over the whole vocabulary, without
top-k, top-p or min-p (a truncated sample would bias the ratio). A row stands as prompt, response, padding; nothing
comes after the first end token. Where a row's randomness comes from its own number, it depends neither on the rows
beside it nor on how many processes there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.tensor import DTensor

from danlu.alignment.texts import rounded_up
from danlu.generation.batch import Ends, draw
from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.model.transformer import Transformer


@dataclass(frozen=True)
class Rollout:
    """Episodes: prompts with the responses drawn for them."""

    tokens: Tensor
    """(B, T) int64: padding perhaps, prompt, response, padding."""
    starts: Tensor
    """(B,) int64: where the prompt begins; 0 but for rows padded on the left."""
    response_starts: Tensor
    """(B,) int64: where the response begins."""
    response_ends: Tensor
    """(B,) int64: behind the response's last token."""
    ended: Tensor
    """(B,) bool: whether the response has its end token; it is then its last one."""
    logprobs: Tensor
    """(B, T - 1) fp32: log-probability (nats) of each token but the first, when it was drawn; 0 outside responses."""

    @property
    def num_episodes(self) -> int:
        """B."""
        return self.tokens.size(0)

    @property
    def mask(self) -> Tensor:
        """(B, T - 1) bool: which tokens, counted from the second on, belong to a response."""
        places = torch.arange(1, self.tokens.size(1), device=self.tokens.device)
        return (places >= self.response_starts[:, None]) & (places < self.response_ends[:, None])

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens of each response, the end token included."""
        return self.response_ends - self.response_starts

    @property
    def positions(self) -> Tensor | None:
        """(B, T) int64, each token's place behind its row's left padding; None where no row has any."""
        if not bool(self.starts.any()):
            return None
        places = torch.arange(self.tokens.size(1), device=self.tokens.device)
        return (places - self.starts[:, None]).clamp_min(0)

    @property
    def segments(self) -> Tensor | None:
        """(B, T) int64: -1 at the padding on the left, 0 elsewhere; None where there is none."""
        if not bool(self.starts.any()):
            return None
        places = torch.arange(self.tokens.size(1), device=self.tokens.device)
        return (places >= self.starts[:, None]).long() - 1

    def responses(self) -> list[list[int]]:
        """The responses' tokens, the end token included."""
        bounds = zip(self.tokens.tolist(), self.response_starts.tolist(), self.response_ends.tolist(), strict=True)
        return [row[first:last] for row, first, last in bounds]

    def rows(self, index: Tensor) -> "Rollout":
        """Some episodes (indices), cut to the longest of them."""
        width = int(self.response_ends[index].max()) if len(index) else 1
        width = min(self.tokens.size(1), rounded_up(width, 16))
        return Rollout(
            self.tokens[index, :width],
            self.starts[index],
            self.response_starts[index],
            self.response_ends[index],
            self.ended[index],
            self.logprobs[index, : width - 1],
        )

    def widened(self, width: int) -> "Rollout":
        """The same episodes in rows of so many tokens, which may be more than there are. Zeros stand behind."""
        more = width - self.tokens.size(1)
        return replace(self, tokens=F.pad(self.tokens, (0, more)), logprobs=F.pad(self.logprobs, (0, more)))

    def padded_left(self, count: int, pad: int) -> "Rollout":
        """The same episodes behind so many tokens of padding."""
        return replace(
            self,
            tokens=F.pad(self.tokens, (count, 0), value=pad),
            starts=self.starts + count,
            response_starts=self.response_starts + count,
            response_ends=self.response_ends + count,
            logprobs=F.pad(self.logprobs, (count, 0)),
        )

    def to(self, device: torch.device) -> "Rollout":
        """The same on a device."""
        return Rollout(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def pack(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    logprobs: Sequence[Sequence[float]],
    stop: Sequence[int],
    pad: int,
    width: int | None = None,
) -> Rollout:
    """Put prompts and responses into rows. What a response has behind its first end token is dropped.

    Args:
        prompts, responses: tokens; at least one each.
        logprobs: of the responses' tokens.
        stop: end tokens. An end token inside a prompt means nothing.
        pad: what fills up.
        width: T; by default that of the longest row.
    """
    cut = [_until_end(response, stop) for response in responses]
    lengths = [len(prompt) + len(response) for prompt, response in zip(prompts, cut, strict=True)]
    width = max(lengths, default=1) if width is None else width
    tokens, drawn = [], []
    for prompt, response, values in zip(prompts, cut, logprobs, strict=True):
        behind = width - len(prompt) - len(response)
        tokens.append([*prompt, *response, *[pad] * behind])
        drawn.append([*[0.0] * (len(prompt) - 1), *values[: len(response)], *[0.0] * behind])
    ends = torch.tensor(lengths, dtype=torch.int64)
    return Rollout(
        torch.tensor(tokens, dtype=torch.int64).view(len(ends), width),
        torch.zeros_like(ends),
        torch.tensor([len(prompt) for prompt in prompts], dtype=torch.int64),
        ends,
        torch.tensor([bool(response) and response[-1] in stop for response in cut], dtype=torch.bool),
        torch.tensor(drawn, dtype=torch.float32).view(len(ends), width - 1),
    )


def roll_out(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    numbers: Sequence[int],
    stop: Sequence[int],
    pad: int,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int | None = None,
) -> Rollout:
    """Draw a response for every prompt.

    Args:
        decoder: the policy as it is: see `decoder_of`.
        numbers: of the episodes, counted through the whole run and over all processes: they name the random streams.
        stop: tokens that end a response.
        max_new_tokens: most tokens of a response; prompt and response must fit into the model's context.
        temperature: divides the logits; more than 0.
        batch_size: most rows that are decoded together; None: as many as suit the device.

    Returns:
        Rows as wide as the longest, on the processor.
    """
    assert temperature > 0.0
    config = SamplingConfig(temperature, top_k=0, top_p=1.0, min_p=0.0, max_new_tokens=max_new_tokens, seed=seed)
    context = decoder.config.max_position_embeddings
    assert all(0 < len(prompt) <= context - max_new_tokens for prompt in prompts), "a prompt leaves no room"
    ends = Ends.at(stop, decoder.config.vocab_size)
    drawn = draw(decoder, [list(prompt) for prompt in prompts], config, ends, numbers=numbers, batch_size=batch_size)
    return pack(prompts, [d.tokens for d in drawn], [d.logprobs for d in drawn], stop, pad)


def decoder_of(policy: Transformer) -> Decoder:
    """The policy's weights as they are, repacked for sampling. Where they are shared out, every process gets all."""
    state = policy.state_dict()
    whole = {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in state.items()}
    return Decoder(policy.config, whole, policy.compute_dtype, fuse=policy.fuse)


def _until_end(response: Sequence[int], stop: Sequence[int]) -> list[int]:
    for place, token in enumerate(response):
        if token in stop:
            return list(response[: place + 1])
    return list(response)
