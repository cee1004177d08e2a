"""`danlu chat`: a model in the terminal. A base model continues what is typed."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig


@dataclass(frozen=True)
class Arguments:
    """Type the beginning of a text and watch a base model continue it. Ctrl-D ends."""

    model: tyro.conf.Positional[Path]
    """A model folder, or a run folder."""
    sampling: Annotated[SamplingConfig, tyro.conf.arg(name="")] = field(default_factory=SamplingConfig)
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "chat")
    folder = model_folder(arguments.model)
    from danlu.generation.load import load_generator

    generator = load_generator(folder, arguments.device, arguments.precision)
    print("A base model: it continues your text. An empty line starts a new document; Ctrl-D ends.")
    turn = 0
    while (prompt := _read()) is not None:
        print(prompt, end="", flush=True)
        try:
            # Another seed each turn: the same beginning may go on differently.
            for piece in generator.stream(prompt, replace(arguments.sampling, seed=arguments.sampling.seed + turn)):
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
