"""Flags from dataclasses, the same for every verb."""

from pathlib import Path
from typing import TypeVar

import tyro

from danlu.common.errors import DanluError

T = TypeVar("T")


def parse(kind: type[T], words: list[str], verb: str, default: T | None = None, description: str | None = None) -> T:
    """Read a verb's words into the dataclass `kind`; `--help` and a wrong flag end the program as tyro does.

    Args:
        default: where values come from that no flag gives, in place of the dataclass's own.
        description: the help's first lines; by default the dataclass's docstring.
    """
    given = {} if default is None else {"default": default}
    parsed: T = tyro.cli(
        kind,
        args=words,
        prog=f"danlu {verb}",
        description=description,
        config=(tyro.conf.FlagCreatePairsOff,),
        **given,
    )
    return parsed


def new_folder(out: Path) -> Path:
    """A folder that a verb may write: nothing of anybody's is there yet.

    Raises:
        DanluError: something is.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DanluError(f"{out} is there already and holds something.", "Choose another --out, or remove it first.")
    return out
