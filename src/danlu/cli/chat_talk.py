"""A talk with models: what was said, and answers from the engine that the server uses too."""

import json
import queue
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from danlu.cli.chat_settings import ChatSettings
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.generation.requests import Drawn, Event, Failed
from danlu.web.asking import Settings, chat_tokens, check_settings, request_of, text_tokens
from danlu.web.served import Loaded, ServedModel

LEAST_ROOM = 16
"""Tokens that an answer must have room for; the oldest turns are left out of the prompt until it has."""


@dataclass(frozen=True)
class Answered:
    """How an answer ended."""

    tokens: int
    seconds: float
    finish: str
    """`stop`: the model ended it; `length`: the limit or the context did; `stopped`: the person."""
    left_out: int
    """Messages that the context had no room for."""


class Talk:
    """A conversation, or with a base model a text that grows.

    Args:
        models: by their names; the first begins.
        find: makes a model from a path that is named later.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        find: Callable[[Path], ServedModel],
        settings: ChatSettings,
        system: str = "",
    ) -> None:
        self.models = dict(models)
        self._find = find
        self.model = next(iter(self.models.values()))
        _check(settings)
        self.settings = settings
        self.system = system
        self.turns: list[dict[str, str]] = []
        """What was said, without the system's message; of a base model the pieces of the text."""
        self.answered: Answered | None = None
        """How the last answer ended."""
        self._asked = 0

    # What a person may change

    def set(self, settings: ChatSettings) -> None:
        """Sample otherwise from now on.

        Raises:
            DanluError: a value is out of its range.
        """
        _check(settings)
        self.settings = settings

    def use(self, name: str) -> None:
        """Go on with another model, by its name or its path.

        Raises:
            DanluError: there is none.
        """
        if name not in self.models:
            path = Path(name).expanduser()
            if not path.exists():
                raise DanluError(f"there is no model {name!r}.", f"Here are {', '.join(self.models)}; or name a path.")
            found = self._find(path)
            known = next((each for each in self.models.values() if each.folder == found.folder), found)
            if known is found:
                while found.name in self.models:
                    found.name += "-2"
                self.models[found.name] = found
            name = known.name
        before, self.model = self.model, self.models[name]
        try:
            self.loaded()
        except DanluError:
            self.model = before
            raise

    def clear(self) -> None:
        """Begin anew; the system's message stays."""
        self.turns.clear()

    def undo(self) -> str:
        """Take back what the person said last, and the answer; returns it.

        Raises:
            DanluError: nothing was said.
        """
        place = max((n for n, turn in enumerate(self.turns) if turn["role"] == "user"), default=None)
        if place is None:
            raise DanluError("nothing was said yet.", "Say something first.")
        said = self.turns[place]["content"]
        del self.turns[place:]
        return said

    def messages(self) -> list[dict[str, str]]:
        """The conversation with the system's message."""
        return ([{"role": "system", "content": self.system}] if self.system else []) + self.turns

    def text(self) -> str:
        """A base model's text."""
        return "".join(turn["content"] for turn in self.turns)

    def save(self, path: Path) -> None:
        """Write the conversation as a line of JSON, in the form in which conversations are trained on; a base model's
        text under the key `text`.

        Raises:
            DanluError: it cannot be written.
        """
        value = {"messages": self.messages()} if self.model.template else {"text": self.text()}
        try:
            write_atomic(path.expanduser(), json.dumps(value, ensure_ascii=False) + "\n")
        except OSError as error:
            raise DanluError(f"{path} cannot be written: {error.strerror or error}.", "Name another file.") from error

    # Answers

    def loaded(self) -> Loaded:
        """The model in memory, as soon as it is there.

        Raises:
            DanluError: it cannot be loaded.
        """
        if not self.model.loaded.done():
            self.model.load()
        return self.model.loaded.result()

    def answer(self, said: str) -> Iterator[str]:
        """What the model says to that, piece by piece. What has come is kept when the iterator is closed.

        Raises:
            DanluError: the message fills the context, or the engine failed.
        """
        before = len(self.turns)
        if said or self.model.template:
            self.turns.append({"role": "user", "content": said})
        try:
            tokens, left_out = self._prompt()
        except DanluError:
            del self.turns[before:]
            raise
        yield from self._stream(tokens, left_out)

    def retry(self) -> Iterator[str]:
        """Another answer in place of the last.

        Raises:
            DanluError: there is none yet.
        """
        if not any(turn["role"] == "assistant" for turn in self.turns):
            raise DanluError("there is no answer yet.", "Say something first.")
        while self.turns and self.turns[-1]["role"] == "assistant":
            self.turns.pop()
        tokens, left_out = self._prompt()
        yield from self._stream(tokens, left_out)

    def _prompt(self) -> tuple[list[int], int]:
        """The tokens of the talk, without its oldest messages where it has grown too long; how many are left out."""
        self.answered = None
        loaded, room = self.loaded(), self.model.context - LEAST_ROOM
        if self.model.template is None:
            tokens = text_tokens(loaded, self.text())
            if len(tokens) > room:
                raise DanluError(
                    f"the text has {len(tokens):,} tokens, and the model's context {self.model.context:,}.",
                    "/clear begins a new one.",
                )
            return tokens, 0
        opening, turns = self.messages()[: bool(self.system)], list(self.turns)
        while len(tokens := chat_tokens(self.model, loaded, opening + turns)) > room:
            later = next((n for n in range(1, len(turns)) if turns[n]["role"] == "user"), None)
            if later is None:
                raise DanluError(f"the message has {len(tokens):,} tokens, and {room:,} have room.", "Say it shorter.")
            del turns[:later]
        return tokens, len(self.turns) - len(turns)

    def _stream(self, tokens: Sequence[int], left_out: int) -> Iterator[str]:
        asking = request_of(self.model, tokens, _asked(self.settings, self._asked), "terminal")
        self._asked += 1
        came: queue.SimpleQueue[Sequence[Event]] = queue.SimpleQueue()
        began, count, finish, pieces = clock.monotonic(), 0, "stopped", []
        ticket = self.loaded().engine.submit(asking, came.put)
        try:
            while finish == "stopped":
                for event in came.get():
                    if isinstance(event, Failed):
                        raise DanluError(f"the model failed: {event.reason}.", "Try again.")
                    if isinstance(event, Drawn):
                        count, finish = count + 1, event.finish or finish
                        pieces.append(event.text)
                        yield event.text
        finally:
            ticket.cancel()
            self.turns.append({"role": "assistant", "content": "".join(pieces)})
            self.answered = Answered(count, clock.monotonic() - began, finish, left_out)

    def close(self) -> None:
        """Stop the engines."""
        for model in self.models.values():
            if model.state == "ready":
                model.loaded.result().engine.close()


def _asked(own: ChatSettings, number: int) -> Settings:
    """What the engine is asked for the answer of that number."""
    return Settings(
        temperature=own.temperature,
        top_p=own.top_p,
        top_k=own.top_k,
        min_p=own.min_p,
        repetition_penalty=own.repetition_penalty,
        max_tokens=own.max_new_tokens,
        seed=None if own.seed is None else own.seed + number,
    )


def _check(settings: ChatSettings) -> None:
    if settings.max_new_tokens < 1:
        raise DanluError(f"max_new_tokens is {settings.max_new_tokens}.", "It must be 1 or more.")
    check_settings(_asked(settings, 0))
