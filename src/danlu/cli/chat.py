"""`danlu chat`: a model in the terminal. An assistant answers what is said; a base model continues what is typed."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig

if TYPE_CHECKING:
    from danlu.generation.generate import Generator
    from danlu.tokens.chat import Chat

_LEAST_ROOM = 16
"""Tokens that an answer must have room for; older turns are left out until it has."""


@dataclass(frozen=True)
class Arguments:
    """Talk with an assistant; of a base model, type the beginning of a text and watch it go on. Ctrl-D ends."""

    model: tyro.conf.Positional[Path]
    """A model folder, or a run folder: its assistant where there is one, else its base model."""
    system: str = ""
    """What an assistant is told before the talk begins."""
    sampling: Annotated[SamplingConfig, tyro.conf.arg(name="")] = field(default_factory=SamplingConfig)
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "chat")
    folder = model_folder(arguments.model, assistant=True)
    from danlu.generation.load import load_generator
    from danlu.tokens.chat import load_chat, read_template

    generator = load_generator(folder, arguments.device, arguments.precision)
    if read_template(folder) is None:
        print("A base model: it continues your text. An empty line starts a new document; Ctrl-D ends.")
        _talk(lambda said, sampling: _continue(generator, said, sampling), arguments.sampling)
        return
    talk = Talk(generator, load_chat(folder), arguments.system)
    print("An assistant. An empty line begins a new talk; Ctrl-D ends.")
    _talk(talk.answer, arguments.sampling)


class Talk:
    """A conversation with an assistant, kept as long as the context holds it."""

    def __init__(self, generator: "Generator", chat: "Chat", system: str = "") -> None:
        self._generator, self._chat = generator, chat
        self._opening = [{"role": "system", "content": system}] if system else []
        self.turns = list(self._opening)

    def answer(self, said: str, sampling: SamplingConfig) -> Iterator[str]:
        """What the assistant says to that, piece by piece.

        Raises:
            DanluError: the message alone fills the context.
        """
        if not said:
            self.turns = list(self._opening)
            return
        before = list(self.turns)
        self.turns.append({"role": "user", "content": said})
        try:
            prompt, dropped = self._fitting()
        except DanluError:
            self.turns = before
            raise
        if dropped:
            yield f"[the first {dropped} messages no longer fit into the context and are left out]\n"
        pieces = []
        for piece in self._generator.stream(prompt, sampling):
            pieces.append(piece)
            yield piece
        self.turns.append({"role": "assistant", "content": "".join(pieces)})

    def _fitting(self) -> tuple[list[int], int]:
        """The tokens of the talk, without its oldest messages where it has grown too long; how many were left out."""
        room = self._generator.decoder.config.max_position_embeddings - _LEAST_ROOM
        first, dropped = len(self._opening), 0
        while len(prompt := self._chat.prompt(self.turns)) > room:
            if len(self.turns) - first <= 1:
                raise DanluError(f"the message has {len(prompt)} tokens, and {room} have room.", "Say it shorter.")
            del self.turns[first : first + 2]
            dropped += 2
        return prompt, dropped


def _continue(generator: "Generator", said: str, sampling: SamplingConfig) -> Iterator[str]:
    """A base model's text: the beginning, and how it goes on."""
    yield said
    yield from generator.stream(said, sampling)


def _talk(answer: Callable[[str, SamplingConfig], Iterator[str]], sampling: SamplingConfig) -> None:
    turn = 0
    while (said := _read()) is not None:
        try:
            # Another seed each turn: the same beginning may go on differently.
            for piece in answer(said, replace(sampling, seed=sampling.seed + turn)):
                print(piece, end="", flush=True)
        except DanluError as error:  # a prompt that is too long ends the turn, not the talk
            print(f"{error.cause} {error.remedy}", end="")
        print()
        turn += 1


def _read() -> str | None:
    """A line from the person; None at the end of the input."""
    if sys.stdin.isatty():
        print("> ", end="", flush=True)
    line = sys.stdin.readline()
    return line.removesuffix("\n") if line else None
