"""Flags from dataclasses, the same for every verb."""

import inspect
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from danlu.cli.flags import flag_name, plain_flags
from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import to_mapping

if TYPE_CHECKING:
    from danlu.cli.help_text import Group

T = TypeVar("T")


def parse(
    kind: type[T],
    words: list[str],
    verb: str,
    default: T | None = None,
    description: str | None = None,
    short: Mapping[str, str] | None = None,
) -> T:
    """Read a verb's words into the dataclass `kind`; `--help` prints it and ends the program.

    Args:
        default: where values come from that no flag gives, in place of the dataclass's own.
        description: the help's first lines; by default the dataclass's docstring.
        short: other spellings of flags, and what each stands for.

    Raises:
        DanluError: a flag that there is not (with the nearest), a value that it does not take, something missing.
    """
    _refuse_twice(words)
    quick = plain_flags(kind, words) if default is None else None
    if quick is not None:
        return quick
    import tyro

    from danlu.cli.complaints import complaint
    from danlu.cli.help_text import plain_help, read_groups

    given = {} if default is None else {"default": default}

    def read(these: list[str]) -> T:
        parsed: T = tyro.cli(kind, args=these, prog=f"danlu {verb}", config=(tyro.conf.FlagCreatePairsOff,), **given)
        return parsed

    def groups() -> "list[Group]":
        paper = _paper()
        with redirect_stdout(paper), suppress(SystemExit):
            read(["--help"])
        return read_groups(_text(paper))

    if "-h" in words or "--help" in words:
        print(plain_help(verb, description or inspect.cleandoc(kind.__doc__ or ""), groups()), end="")
        raise SystemExit(0)
    paper = _paper()
    try:
        with redirect_stdout(paper), redirect_stderr(paper):
            return read([_spelled_out(word, short or {}) for word in words])
    except SystemExit as end:
        if end.code != 2:
            print(_text(paper), end="")  # such as the completions for a shell
            raise
    raise complaint(verb, words, _text(paper), groups(), short or {})


def _refuse_twice(words: Iterable[str]) -> None:
    """Refuse a flag that is given twice: the parser would take the last and say nothing."""
    seen: set[str] = set()
    for name in map(flag_name, words):
        if name.startswith("--") and name in seen:
            raise DanluError(f"{name} is given twice.", "Give it once; several values of one flag follow it in a row.")
        seen.add(name)


def _paper() -> io.TextIOWrapper:
    """Something to draw on that knows UTF-8: tyro draws its boxes with spaces where the encoding has no better."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def _text(paper: io.TextIOWrapper) -> str:
    paper.seek(0)
    return paper.read()


def _spelled_out(word: str, short: Mapping[str, str]) -> str:
    flag, equals, value = word.partition("=")
    return short.get(flag, flag) + equals + value


def new_folder(out: Path) -> Path:
    """A folder that a verb may write: nothing of anybody's is there yet.

    Raises:
        DanluError: something is.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DanluError(f"{out} is there already and holds something.", "Choose another --out, or remove it first.")
    return out


@contextmanager
def continue_folder(out: Path, verb: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Hold a folder that the same command may continue, and no other.

    Raises:
        DanluError: another command wrote there, or one is writing now.
    """
    from danlu.pipeline.folder import RunFolder
    from danlu.pipeline.recipe import differences

    path, now = out / f"{verb}.json", to_mapping(settings)
    if int(os.environ.get("RANK", "0")):  # under torchrun the first process holds it for all
        yield
        return
    if not path.exists() and not (out.is_dir() and {file.name for file in out.iterdir()} <= {".lock"}):
        new_folder(out)
    with RunFolder(out).locked():
        if path.exists():
            changed = [f"{key}: {old} before, {new} now" for key, old, new in differences(read_json(path), now)]
            if changed:
                raise DanluError(
                    f"{out} was begun with other settings: {'; '.join(changed)}.",
                    "Choose another --out, or go back to them.",
                )
        else:
            write_json(path, now)
        yield
