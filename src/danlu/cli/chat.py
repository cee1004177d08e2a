"""`danlu chat`: models in the terminal, on the server's engine."""

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from danlu.cli.chat_settings import ChatSettings
from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.cli.serve import data_folder
from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Arguments:
    """Talk with an assistant; a base model goes on from what you type. /help lists the commands, Ctrl-D ends."""

    models: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Model folders, or run folders (their assistants where they have them); /model changes between them."""
    system: str = ""
    """What an assistant is told before the talk begins."""
    settings: Annotated[ChatSettings, tyro.conf.arg(name="")] = field(default_factory=ChatSettings)
    history: Path | None = None
    """File of the lines that were typed; by default in $XDG_DATA_HOME/danlu or ~/.local/share/danlu."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "chat")
    if not arguments.models:
        raise DanluError("no model is given.", "danlu chat RUN_OR_MODEL")
    from danlu.cli.chat_talk import Talk
    from danlu.cli.chat_terminal import Terminal, converse
    from danlu.web.served import ServedModel, find_models, load_model

    load = partial(load_model, device=arguments.device, precision=arguments.precision)

    def find(path: Path) -> ServedModel:
        return next(iter(find_models([path], partial(model_folder, assistant=True), load)))

    models = find_models(arguments.models, partial(model_folder, assistant=True), load)
    terminal = Terminal(arguments.history or data_folder(None) / "chat_history", sys.stdin, sys.stdout)
    talk = Talk(models.by_name, find, arguments.settings, arguments.system)
    try:
        converse(talk, terminal)
    finally:
        talk.close()
