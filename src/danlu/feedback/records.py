"""The records: a demonstration (how to answer) and a ranking (which answers are better), with who made them."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping

Role = Literal["system", "user", "assistant"]
Json: TypeAlias = Any
"""A plain JSON value."""
MAX_COMPLETIONS = 64
"""More completions than this in one ranking are a mistake in the data."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Prompt: TypeAlias = tuple[Message, ...]
"""A conversation so far, to which a response is wanted; its last message is not the assistant's."""


def prompt_of(text: str) -> Prompt:
    """A single request as a conversation of one turn."""
    return (Message("user", text),)


def prompt_text(prompt: Prompt) -> str:
    """A conversation for a reader: the words alone where there is one turn, else each with its role."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in prompt)


@dataclass(frozen=True)
class Demonstration:
    """A prompt with a response that somebody holds to be good."""

    prompt: Prompt
    response: str
    source: str = ""
    """Where it comes from: a file, a stage, a page."""
    annotator: str = ""
    """Who wrote it, by a pseudonym."""
    time: float | None = None
    """When (seconds since 1970, UTC)."""
    flags: tuple[str, ...] = ()
    """What was found wrong with the prompt; flagged ones leave an export unless they are asked for."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its source knows about it: plain JSON values."""

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        if not self.response.strip():
            raise DanluError("a demonstration has an empty response.", "Give the text of the response.")

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation, the response included."""
        return (*self.prompt, Message("assistant", self.response))


@dataclass(frozen=True)
class Ranking:
    """A prompt with K completions and their order. A comparison of two is a ranking with K = 2."""

    prompt: Prompt
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    """A whole number for each completion; lower is better, equal is tied."""
    annotator: str = ""
    """Who ranked, by a pseudonym."""
    shown: tuple[int, ...] = ()
    """The completions' numbers in the order in which they were shown; empty: unknown."""
    seconds: float | None = None
    """How long it took."""
    time: float | None = None
    """When (seconds since 1970, UTC)."""
    flags: tuple[str, ...] = ()
    """What was found wrong with the item; flagged ones leave an export unless they are asked for."""
    completion_flags: tuple[tuple[str, ...], ...] = ()
    """What was found wrong with each completion; empty: nothing was asked."""
    ratings: tuple[int | None, ...] = ()
    """An absolute grade for each completion, 1 to 7, beside the ranks; empty: not asked."""
    strength: int | None = None
    """How clearly the better of two is better, from 1 (slightly) to 4 (beyond doubt); None: not said."""
    note: str = ""
    """What the annotator wrote about it."""
    completion_sources: tuple[str, ...] = ()
    """Who or what wrote each completion (a model and its checkpoint); empty: unknown. Annotators never see it."""
    source: str = ""
    """Where the ranking comes from: a file, a stage, a page."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its source knows about it: plain JSON values."""

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        number = len(self.completions)
        if number < 2:
            raise DanluError(
                f"a ranking has {number} completion{'s' if number != 1 else ''}.",
                "Give at least two; a single good response is a demonstration.",
            )
        if number > MAX_COMPLETIONS:
            raise DanluError(f"a ranking has {number} completions.", f"Give at most {MAX_COMPLETIONS}.")
        for name in ("ranks", "completion_flags", "ratings", "completion_sources"):
            values: Sequence[object] = getattr(self, name)
            if len(values) != number and (values or name == "ranks"):
                raise DanluError(
                    f"a ranking has {number} completions and {len(values)} {name}.", "Give one for each completion."
                )
        if min(self.ranks) < 0:
            raise DanluError(f"a ranking has the ranks {list(self.ranks)}.", "Give whole numbers from 0 on.")
        if self.shown and sorted(self.shown) != list(range(number)):
            raise DanluError(
                f"a ranking of {number} completions was shown in the order {list(self.shown)}.",
                "Give each number from 0 to K - 1 once, or leave it out.",
            )
        if any(rating is not None and not 1 <= rating <= 7 for rating in self.ratings):
            raise DanluError(f"a ranking has the ratings {list(self.ratings)}.", "Give whole numbers from 1 to 7.")
        if self.strength is not None and (not 1 <= self.strength <= 4 or number != 2 or self.all_tied):
            raise DanluError(
                f"a ranking has the strength {self.strength}.", "Give 1 to 4, of two completions that are not tied."
            )

    @property
    def num_completions(self) -> int:
        """K."""
        return len(self.completions)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The numbers (better, worse) of all pairs that are not tied."""
        for i, rank in enumerate(self.ranks):
            for j, other in enumerate(self.ranks):
                if rank < other:
                    yield i, j

    @property
    def num_pairs(self) -> int:
        """K choose 2, ties included."""
        return math.comb(len(self.completions), 2)

    @property
    def all_tied(self) -> bool:
        """Whether it says nothing about which is better."""
        return len(set(self.ranks)) == 1

    def reordered(self, order: Sequence[int]) -> "Ranking":
        """The same judgement with its completions in another order (`order[i]`: which one comes at place i)."""

        def moved(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in order) if values else ()

        place = {old: new for new, old in enumerate(order)}
        return replace(
            self,
            completions=moved(self.completions),
            ranks=moved(self.ranks),
            completion_flags=moved(self.completion_flags),
            ratings=moved(self.ratings),
            completion_sources=moved(self.completion_sources),
            shown=tuple(place[i] for i in self.shown),
        )


Record: TypeAlias = Demonstration | Ranking


def dense_ranks(values: Sequence[float], *, higher_is_better: bool = False) -> tuple[int, ...]:
    """Ranks 0, 1, 2, ... of some values, equal values tied."""
    order = sorted(set(values), reverse=higher_is_better)
    place = {value: rank for rank, value in enumerate(order)}
    return tuple(place[value] for value in values)


def to_json(record: Record) -> dict[str, Any]:
    """The plain form of a record: JSON values; fields that hold nothing are left out."""
    plain: dict[str, Any] = to_mapping(record)
    required = {"prompt", "response", "completions", "ranks"}
    return {name: value for name, value in plain.items() if name in required or value not in (None, "", [], {})}


def demonstration_from(plain: Mapping[str, Any], where: str) -> Demonstration:
    """A demonstration from its plain form, strictly.

    Raises:
        DanluError: a key or value is wrong; `where` names the file and line.
    """
    return from_mapping(Demonstration, plain, where)


def ranking_from(plain: Mapping[str, Any], where: str) -> Ranking:
    """A ranking from its plain form, strictly.

    Raises:
        DanluError: a key or value is wrong; `where` names the file and line.
    """
    return from_mapping(Ranking, plain, where)


def record_id(record: Record) -> str:
    """A record's fingerprint: the same content has the same, wherever and whenever it is read."""
    kind = "demonstration" if isinstance(record, Demonstration) else "ranking"
    return fingerprint({"kind": kind, **to_json(record)})


def fingerprint(value: Json) -> str:
    """SHA-256 of a JSON value, in hexadecimal; of strings too that are no proper Unicode."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_prompt(prompt: Prompt) -> None:
    if not prompt:
        raise DanluError("a prompt has no message.", "Give at least what the user says.")
    if prompt[-1].role == "assistant":
        raise DanluError(
            "a prompt ends with the assistant's own message.", "Give what the assistant says last as the response."
        )
    for message in prompt:
        if message.role not in get_args(Role):
            raise DanluError(f"a message has the role {message.role!r}.", f"Use one of {', '.join(get_args(Role))}.")
    if not any(message.content.strip() for message in prompt):
        raise DanluError("a prompt is empty.", "Give what the user says.")
