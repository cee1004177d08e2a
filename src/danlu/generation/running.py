"""What the engine keeps of the requests on their way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from danlu.generation.config import SamplingConfig
from danlu.generation.requests import Receive, Request, TokenLogprob
from danlu.generation.sampling import stream_of
from danlu.generation.slots import Staging
from danlu.generation.text import StopTexts, TextStream


class Ticket:
    """A request on its way."""

    def __init__(self, request: Request, receive: Receive, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.request, self.receive = request, receive
        self.cached_tokens = 0
        """Tokens of the prompt that did not have to be read again."""
        self.cancelled = False

    def cancel(self) -> None:
        """Ask for no more; its rows are free within a step."""
        self.cancelled = True
        self._wake()


@dataclass
class Stats:
    """Counts since the engine started, and what it does now."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    steps: int = 0
    waiting: int = 0
    reading: int = 0
    """Requests whose prompts are being read."""
    rows: int = 0
    """Continuations that decode."""


class Reading:
    """A request whose prompt is being read."""

    def __init__(self, ticket: Ticket, staging: Staging) -> None:
        self.ticket, self.staging = ticket, staging
        self.scores: list[TokenLogprob | None] = [None]


class Row:
    """A continuation that decodes."""

    def __init__(self, ticket: Ticket, index: int, table: Sequence[bytes], position: int) -> None:
        request = ticket.request
        self.ticket, self.index, self.position = ticket, index, position
        self.stream = stream_of(request.sampling.seed, index)
        self.text = TextStream(table, StopTexts(request.sampling.stop, ()))
        self.drawn = 0
        self.token = 0
        self.counts: Tensor | None = None  # (V,) how often the continuation holds each token
        self.seen: Tensor | None = None  # (V,) bool, in prompt or continuation

    @property
    def key(self) -> tuple[float, int, float, float, bool]:
        """Rows with the same are sampled together."""
        sampling: SamplingConfig = self.ticket.request.sampling
        adjusts = self.ticket.request.adjusts_logits
        return sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, adjusts
