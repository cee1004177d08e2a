"""What an annotation page hands out: tasks, and the leases under which people work on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from danlu.common.errors import DanluError
from danlu.feedback.records import Prompt, fingerprint

TaskKind = Literal["demonstrate", "rank", "pair"]


@dataclass(frozen=True)
class Task:
    """One thing to be done by one person or several: to write a response, or to order some."""

    kind: TaskKind
    """`pair` is a ranking of two that a page may show in its own way."""
    prompt: Prompt
    completions: tuple[str, ...] = ()
    """What is to be ranked, in the canonical order."""
    completion_sources: tuple[str, ...] = ()
    """Who or what wrote them; never shown to annotators."""
    wanted: int = 1
    """From how many different people an answer is wanted."""
    gold_ranks: tuple[int, ...] = ()
    """The right ranks of a test question; empty: it is none. Everybody is given it once."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its source knows about it: plain JSON values, handed on to the record."""

    def __post_init__(self) -> None:
        number = len(self.completions)
        if self.kind == "demonstrate" and number:
            raise DanluError(
                "a task to write a demonstration has completions.", "Leave them out, or ask for a ranking."
            )
        if (self.kind == "rank" and number < 2) or (self.kind == "pair" and number != 2):
            raise DanluError(
                f"a task of the kind {self.kind} has {number} completions.",
                "Give exactly two for a pair, two or more for a ranking.",
            )
        if self.gold_ranks and len(self.gold_ranks) != number:
            raise DanluError(
                f"a test question has {number} completions and {len(self.gold_ranks)} right ranks.",
                "Give one for each.",
            )
        if self.completion_sources and len(self.completion_sources) != number:
            raise DanluError(
                f"a task has {number} completions and {len(self.completion_sources)} sources.", "Give one for each."
            )
        if self.wanted < 1:
            raise DanluError(f"a task wants {self.wanted} answers.", "Ask for at least one.")


@dataclass(frozen=True)
class Lease:
    """A task in one person's hands for a while. It holds what a browser may see, and no more.

    Gold items and repeats look like all others; who wrote the completions is not in it.
    """

    id: str
    task: str
    """The task's identity."""
    kind: TaskKind
    annotator: str
    prompt: Prompt
    completions: tuple[str, ...]
    """In the order in which they are shown."""
    expires: float
    """From when on the task may go to somebody else (seconds since 1970, UTC)."""


@dataclass(frozen=True)
class Policy:
    """How tasks are handed out."""

    lease_seconds: float = 1800.0
    """How long a task stays in one person's hands (seconds); an answer that comes later still counts."""
    repeat_every: int = 20
    """After so many answers of a person, one of their earlier rankings comes again, hidden; 0: never."""
    repeat_distance: int = 10
    """A ranking comes again only after so many others."""
    gold_every: int = 15
    """After so many answers of a person comes a test question, as long as there are new ones; 0: never."""
    max_skips: int = 3
    """A task that so many people skipped is handed out no more."""
    seed: int = 0
    """Of the order in which completions are shown."""

    def __post_init__(self) -> None:
        for name in ("repeat_every", "repeat_distance", "gold_every", "seed"):
            if getattr(self, name) < 0:
                raise DanluError(f"the annotation policy's {name} is {getattr(self, name)}.", "Give 0 or more.")
        if not self.lease_seconds > 0 or self.max_skips < 1:
            raise DanluError(
                "the annotation policy's lease_seconds or max_skips is too small.",
                "Give more than 0 seconds and at least 1 skip.",
            )


def wanted_with_overlap(key: str, share: float, people: int) -> int:
    """How many answers a task wants, when a share of the tasks (0 to 1) goes to several people; by the key's hash."""
    number = int(fingerprint(key)[:12], 16) / 16**12
    return people if number < share else 1
