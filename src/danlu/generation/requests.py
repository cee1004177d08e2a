"""What is asked of the engine and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig

if TYPE_CHECKING:  # it imports torch, and whoever only asks need not wait for that
    from danlu.generation.batch import FinishReason

MAX_LOGPROBS = 20
"""Most alternatives that are reported for a token."""


@dataclass(frozen=True)
class Request:
    """A prompt to be continued, and how."""

    prompt: Sequence[int]
    """Tokens; at least one, and fewer than the model's context."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    max_new_tokens: int | None = None
    """In place of `sampling`'s: 0 only scores the prompt."""
    n: int = 1
    """How many continuations; the i-th has random stream i of the seed."""
    frequency_penalty: float = 0.0
    """Taken from a token's logit for each time that the continuation holds it (-2 to 2)."""
    presence_penalty: float = 0.0
    """Taken from a token's logit if the continuation holds it (-2 to 2)."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens in prompt and continuation (Keskar et al. 2019)."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of some tokens."""
    logprobs: int | None = None
    """Report each new token's log-probability and so many likeliest alternatives; None: report nothing."""
    prompt_logprobs: int | None = None
    """The same for the tokens of the prompt."""
    ignore_end: bool = False
    """Go on past tokens that end a text."""
    client: str = ""
    """Who asks: the engine serves clients in turn."""

    @property
    def limit(self) -> int:
        """Most tokens of a continuation."""
        return self.sampling.max_new_tokens if self.max_new_tokens is None else self.max_new_tokens

    @property
    def adjusts_logits(self) -> bool:
        """Whether anything changes the logits before sampling."""
        penalties = self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1
        return bool(penalties or self.logit_bias)


@dataclass(frozen=True)
class TokenLogprob:
    """A token's log-probability (nats) under softmax(logits): before temperature, penalties and filters."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, likeliest first."""


@dataclass(frozen=True)
class PromptScores:
    """The tokens of the prompt, scored."""

    scores: tuple[TokenLogprob | None, ...]
    """The first has no score."""


@dataclass(frozen=True)
class Drawn:
    """A token more of a continuation."""

    index: int
    """Of the continuation."""
    token: int | None
    """None: nothing was drawn (a limit of 0)."""
    text: str
    """What is certain of the text now; never half a character, never a stop text."""
    logprob: TokenLogprob | None
    finish: "FinishReason | None"
    """Why it ends here; None: it goes on."""


@dataclass(frozen=True)
class Failed:
    """The engine could not go on with this request."""

    reason: str


Event: TypeAlias = PromptScores | Drawn | Failed
Receive: TypeAlias = Callable[[Sequence[Event]], None]


@dataclass(frozen=True)
class Continuation:
    """A whole continuation."""

    text: str
    tokens: tuple[int, ...]
    finish: "FinishReason"
    logprobs: tuple[TokenLogprob, ...] = ()


def check(request: Request, vocab_size: int, context: int, rows: int) -> None:
    """Refuse what the model cannot do.

    Raises:
        DanluError: a token is not in the vocabulary, the prompt is empty or fills the context, or n is too large.
    """
    if not request.prompt:
        raise DanluError("the prompt has no tokens.", "Give at least one.")
    if len(request.prompt) > context - (1 if request.limit else 0):
        raise DanluError(
            f"the prompt has {len(request.prompt)} tokens, and the model's context is {context}.", "Shorten it."
        )
    wrong = next((token for token in request.prompt if not 0 <= token < vocab_size), None)
    if wrong is not None:
        raise DanluError(f"the prompt holds the token {wrong}.", f"The vocabulary has {vocab_size}, from 0 on.")
    if not 1 <= request.n <= rows:
        raise DanluError(f"n is {request.n}.", f"Ask for 1 to {rows} continuations at a time.")
    if any(not 0 <= token < vocab_size for token in request.logit_bias):
        raise DanluError("logit_bias names a token that is not in the vocabulary.", f"It has {vocab_size}.")
    for name in ("logprobs", "prompt_logprobs"):
        value = getattr(request, name)
        if value is not None and not 0 <= value <= MAX_LOGPROBS:
            raise DanluError(f"{name} is {value}.", f"Ask for 0 to {MAX_LOGPROBS} alternatives.")
