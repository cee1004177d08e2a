"""The commands of a talk in the terminal: lines that begin with a slash."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from danlu.cli.chat_settings import ALIASES, ChatSettings, changed, described
from danlu.cli.chat_talk import Talk
from danlu.common.errors import DanluError

Say = Callable[[str], None]


class Leave(Exception):
    """The person wants to go."""


@dataclass(frozen=True)
class Command:
    """What a line that begins with its name does."""

    form: str
    """How it is written."""
    help: str
    run: Callable[[Talk, str, Say], Iterator[str] | None]
    """Gets what stands behind the name; may give an answer to be shown as it comes."""


def run_command(talk: Talk, line: str, say: Say) -> Iterator[str] | None:
    """Do what a line that begins with a slash says.

    Args:
        say: shows a line.

    Returns:
        an answer of the model, if the command asks for one.

    Raises:
        DanluError: there is no such command, or it cannot be done.
        Leave: it was /quit.
    """
    name, _, rest = line[1:].strip().partition(" ")
    if name in _SETTINGS:
        _set(talk, f"{name} {rest}", say)
        return None
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, [*COMMANDS, *_SETTINGS], n=1)
        raise DanluError(
            f"there is no command /{name}.",
            (f"Did you mean /{near[0]}? " if near else "") + "/help lists them; // begins a text with a slash.",
        )
    return COMMANDS[name].run(talk, rest.strip(), say)


def completions(talk: Talk, text: str) -> list[str]:
    """How a line that begins with a slash can go on."""
    if text.startswith("/model "):
        return [f"/model {name}" for name in talk.models if f"/model {name}".startswith(text)]
    return [f"/{name}" for name in sorted((*COMMANDS, *_SETTINGS)) if f"/{name}".startswith(text)]


def _help(talk: Talk, rest: str, say: Say) -> None:
    width = max(len(command.form) for command in COMMANDS.values())
    for command in COMMANDS.values():
        say(f"  {command.form:<{width}}  {command.help}")
    say('  """ begins and ends a message of several lines; // begins one with a slash.')
    say("  Ctrl-C stops an answer, Ctrl-D ends the talk.")


def _set(talk: Talk, rest: str, say: Say) -> None:
    name, _, value = rest.partition(" ")
    if value.strip():
        talk.set(changed(talk.settings, name, value.strip()))
    elif name:
        changed(talk.settings, name, "default")  # refuses an unknown name
    name = ALIASES.get(name, name).replace("-", "_")
    defaults = {name: (default.value, default.source) for name, default in talk.model.defaults.items()}
    for line in described(talk.settings, defaults):
        if line.startswith(name):
            say(f"  {line}")


def _system(talk: Talk, rest: str, say: Say) -> None:
    if talk.model.template is None:
        raise DanluError("a base model is told nothing before a text.", "Write it at the beginning of the text.")
    if rest:
        talk.system = "" if rest == "none" else rest
    say(f"  system: {talk.system}" if talk.system else "  no system message")


def _clear(talk: Talk, rest: str, say: Say) -> None:
    talk.clear()
    say("  a new talk" if talk.model.template else "  a new text")


def _undo(talk: Talk, rest: str, say: Say) -> None:
    say(f"  taken back: {talk.undo()}")


def _show(talk: Talk, rest: str, say: Say) -> None:
    if talk.model.template is None:
        say(talk.text())
        return
    for message in talk.messages():
        say(f"{message['role']}: {message['content']}")


def _model(talk: Talk, rest: str, say: Say) -> None:
    if rest:
        say(f"  loading {rest} ...")
        talk.use(rest)
    for name, model in talk.models.items():
        kind = "chats" if model.template else "base model"
        say(f"{'* ' if model is talk.model else '  '}{name}: {model.folder} ({kind}, context {model.context:,})")


def _save(talk: Talk, rest: str, say: Say) -> None:
    if not talk.turns:
        raise DanluError("nothing was said yet.", "Say something first.")
    path = Path(rest or "talk.jsonl")
    if path.expanduser().exists():
        raise DanluError(f"{path} is there already.", "Name another file: /save FILE")
    talk.save(path)
    say(f"  wrote {path}")


def _quit(talk: Talk, rest: str, say: Say) -> None:
    raise Leave


_SETTINGS = tuple(each.name for each in fields(ChatSettings)) + tuple(ALIASES)

COMMANDS: Mapping[str, Command] = {
    "help": Command("/help", "this list", _help),
    "system": Command("/system [TEXT|none]", "what the assistant is told before the talk begins", _system),
    "clear": Command("/clear", "begin a new talk", _clear),
    "retry": Command("/retry", "another answer in place of the last", lambda talk, rest, say: talk.retry()),
    "undo": Command("/undo", "take back what you said last, and the answer", _undo),
    "show": Command("/show", "the talk so far", _show),
    "set": Command(
        "/set [NAME [VALUE]]",
        "how answers are sampled; /temperature 0.7, /top_p, /top_k, /min_p, /repetition, /max, /seed do it too",
        _set,
    ),
    "model": Command("/model [NAME|PATH]", "the models, or go on with another", _model),
    "save": Command("/save [FILE]", "keep the talk as JSON lines, in the form that danlu sft reads", _save),
    "quit": Command("/quit", "end (Ctrl-D too)", _quit),
}
