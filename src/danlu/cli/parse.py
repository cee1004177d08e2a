"""Flags from dataclasses, the same for every verb."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from danlu.cli.flags import plain_flags
from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import to_mapping

T = TypeVar("T")


def parse(kind: type[T], words: list[str], verb: str, default: T | None = None, description: str | None = None) -> T:
    """Read a verb's words into the dataclass `kind`; `--help` and a wrong flag end the program as tyro does.

    Args:
        default: where values come from that no flag gives, in place of the dataclass's own.
        description: the help's first lines; by default the dataclass's docstring.
    """
    quick = plain_flags(kind, words) if default is None else None
    if quick is not None:
        return quick
    import tyro

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
