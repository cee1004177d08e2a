"""The terminal of a talk: lines with editing and a history that is kept, answers as they come, Ctrl-C."""

import contextlib
import importlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TextIO

from danlu.cli.chat_commands import Leave, completions, run_command
from danlu.cli.chat_talk import Answered, Talk
from danlu.common.errors import DanluError
from danlu.common.interrupt import Stopped

_KEPT_LINES = 2000
_BLOCK = '"""'


class Terminal:
    """Where lines come from and where text goes.

    Args:
        history: the file of the lines that were typed; read and written only where a person types them.
    """

    def __init__(self, history: Path, source: TextIO, target: TextIO) -> None:
        self._source, self._target = source, target
        self.is_person = source.isatty() and target.isatty()
        self._history = history.expanduser()
        self._readline = _readline() if self.is_person else None

    def open(self, talk: Talk) -> None:
        """Fetch the history and complete commands."""
        if self._readline is None:
            return
        with contextlib.suppress(OSError):  # there is none yet
            self._readline.read_history_file(self._history)
        self._readline.set_history_length(_KEPT_LINES)
        self._readline.set_completer_delims("")
        self._readline.set_completer(lambda text, number: (*completions(talk, text), None)[number])
        self._readline.parse_and_bind("tab: complete")

    def close(self) -> None:
        """Keep the history; only its owner may read it."""
        if self._readline is None or not self._readline.get_current_history_length():
            return
        try:
            self._history.parent.mkdir(parents=True, exist_ok=True)
            self._history.touch(0o600)
            self._readline.write_history_file(self._history)
        except OSError as error:
            self.say(f"the history cannot be kept in {self._history}: {error.strerror or error}")

    def read(self) -> str | None:
        """A message: a line, or several between two lines of three quotes. None at the end of the input."""
        line = self._line("> ")
        if line is None or not line.startswith(_BLOCK):
            return line
        lines = [line.removeprefix(_BLOCK)] if line != _BLOCK else []
        while (line := self._line("... ")) is not None:
            if line.rstrip().endswith(_BLOCK):
                return "\n".join([*lines, line.rstrip().removesuffix(_BLOCK)]).rstrip("\n")
            lines.append(line)
        return "\n".join(lines)

    def _line(self, prompt: str) -> str | None:
        if self.is_person:
            try:
                return input(prompt)
            except EOFError:
                return None
        line = self._source.readline()
        return line.removesuffix("\n") if line else None

    def say(self, line: str) -> None:
        """Show a line."""
        self.show(line + "\n")

    def show(self, text: str) -> None:
        """Show a piece of text; what it holds cannot command the terminal."""
        self._target.write(harmless(text))
        self._target.flush()


def harmless(text: str) -> str:
    """The text with its control characters in letters: a model may say ESC [ 2 J as well as anything else."""
    return "".join(letter if letter in "\n\t" or not _commands(letter) else f"\\x{ord(letter):02x}" for letter in text)


def _commands(letter: str) -> bool:
    return letter < " " or "\x7f" <= letter < "\xa0"


def converse(talk: Talk, terminal: Terminal) -> None:
    """Read and answer until the input ends or the person leaves."""
    _greet(talk, terminal)
    terminal.open(talk)
    try:
        while True:
            try:
                said = terminal.read()
            except (Stopped, KeyboardInterrupt) as stop:
                _only_ctrl_c(stop)
                terminal.say("\n(Ctrl-D or /quit ends the talk)")
                continue
            if said is None:
                if terminal.is_person:
                    terminal.say("")
                return
            _turn(talk, said, terminal)
    except Leave:
        return
    finally:
        terminal.close()


def _greet(talk: Talk, terminal: Terminal) -> None:
    if terminal.is_person:
        terminal.say(f"loading {talk.model.name} ...")
    talk.loaded()
    if talk.model.template:
        terminal.say(f"{talk.model.name} is an assistant. /help lists the commands; Ctrl-D ends.")
    else:
        terminal.say(
            f"{talk.model.name} is a base model: it goes on from your text, and an empty line lets it go on. "
            "/clear begins a new text; /help lists the commands; Ctrl-D ends."
        )


def _turn(talk: Talk, said: str, terminal: Terminal) -> None:
    try:
        if said.startswith("/") and not said.startswith("//"):
            answer = run_command(talk, said, terminal.say)
        elif not said.strip() and talk.model.template:
            return
        else:
            answer = talk.answer(said[1:] if said.startswith("//") else said)
        if answer is not None:
            _show(talk, answer, terminal)
    except DanluError as error:
        terminal.say(f"{error.cause} {error.remedy}")
    except (Stopped, KeyboardInterrupt) as stop:
        _only_ctrl_c(stop)
        terminal.say("")


def _show(talk: Talk, answer: Iterator[str], terminal: Terminal) -> None:
    try:
        for piece in answer:
            terminal.show(piece)
    except (Stopped, KeyboardInterrupt) as stop:
        _only_ctrl_c(stop)
        answer.close()  # type: ignore[attr-defined]
    terminal.say("")
    end: Answered | None = talk.answered
    if end is None:
        return
    if end.left_out:
        terminal.say(f"[the context has no room for the first {end.left_out} messages: the model did not see them]")
    why = {
        "stop": "",
        "length": f", cut at {end.tokens:,} tokens (/max allows more, up to the context)",
        "stopped": ", stopped",
    }[end.finish]
    if terminal.is_person or why:
        terminal.say(f"[{end.tokens:,} tokens, {end.tokens / max(end.seconds, 1e-9):.0f} a second{why}]")


def _only_ctrl_c(stop: BaseException) -> None:
    """A scheduler's SIGTERM ends the program as ever."""
    if isinstance(stop, Stopped) and stop.signum != signal.SIGINT:
        raise stop


def _readline() -> ModuleType | None:
    """Line editing, where Python was built with it."""
    try:
        return importlib.import_module("readline")
    except ImportError:
        return None
