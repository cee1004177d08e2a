"""From the items of `data` to streams of entries, one source after the other."""

import glob
import os
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.corpus.config import CorpusConfig
from danlu.corpus.document import Document
from danlu.corpus.encodings import Encoding
from danlu.corpus.formats import READABLE, Format, format_of, read_file
from danlu.corpus.hub import parse_hub_item, read_hub
from danlu.corpus.records import Blocks, Entry, Fault, in_blocks, prepare, up_to

_BLOCK_DOCUMENTS = 1024
_BLOCK_BYTES = 4 * 1024 * 1024
_NOT_LIBRARY = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})


@dataclass(frozen=True)
class Source:
    """One item of `data`, resolved: everything is known but its text."""

    item: str
    """The item as the user wrote it."""
    name: str
    """The name its documents carry."""
    files: tuple[tuple[Path, Format], ...] = ()
    """The files it stands for, in the order they are read; none for the toy language and the hub."""
    left_alone: int = 0
    """Files of other kinds that lie among them."""

    @property
    def expected_bytes(self) -> float:
        """About how much text it holds (UTF-8 bytes); 0 where only reading it can tell."""
        if any(form == "parquet" or path.suffix in (".gz", ".zst") for path, form in self.files):
            return 0
        return sum(path.stat().st_size for path, _ in self.files if path.exists())


def resolve(config: CorpusConfig) -> list[Source]:
    """Find what every item of `data` stands for, so that a wrong name is told before anything is read.

    Raises:
        DanluError: no such file, nothing there that can be read, or no such kind of file.
    """
    return [_resolve(item, name) for item, name in zip(config.data, _names(config.data), strict=True)]


def input_files(config: CorpusConfig) -> dict[str, list[Path]]:
    """The files that each item of `data` stands for now, so that a run can tell when one has changed.

    There are none for an item that is not files, or whose files are gone.
    """
    found = {}
    for item in config.data:
        try:
            found[item] = [path for path, _ in _resolve(item, item).files]
        except DanluError:
            found[item] = []
    return found


def read_blocks(
    source: Source, config: CorpusConfig, note: Callable[[Path, Encoding], None] = lambda path, encoding: None
) -> Blocks:
    """The documents of a source, and the faults in it, in an order that is always the same.

    Args:
        note: is told of each file of text that is not in UTF-8, and what it is in.

    Raises:
        DanluError: a file or data set cannot be read.
    """
    if source.item == "toy":
        from danlu.corpus.toy_blocks import toy_blocks

        blocks = toy_blocks(config.toy, config.min_characters, config.max_characters)
    else:
        hub = _is_hub(source.item)
        texts = read_hub(source.item, source.name, config.text_field) if hub else _read(source, config, note)
        blocks = in_blocks(_prepare(texts, source.name, config), _BLOCK_DOCUMENTS, _BLOCK_BYTES)
    return blocks if config.max_megabytes is None else up_to(blocks, config.max_megabytes * 1e6)


def _is_hub(item: str) -> bool:
    return item.startswith("hf:")


def _names(items: tuple[str, ...]) -> list[str]:
    """A short name for each item: a path's last part, or the whole item where that would be another's name too."""
    short = [item if _is_hub(item) else Path(item).name or item for item in items]
    return [name if short.count(name) == 1 else item for item, name in zip(items, short, strict=True)]


def _resolve(item: str, name: str) -> Source:
    if item == "toy":
        return Source(item, name)
    if _is_hub(item):
        parse_hub_item(item)
        return Source(item, name)
    if item == "stdlib":
        library = _tree(Path(sysconfig.get_paths()["stdlib"]), _NOT_LIBRARY)
        return Source(item, name, tuple((path, "text") for path in library if path.suffix == ".py"))
    path = Path(item)
    if path.is_dir():
        candidates = _tree(path)
    elif path.exists():
        candidates = [path]
        if format_of(path) is None:
            raise DanluError(f"{path} is of a kind that cannot be read.", f"Give files of these kinds: {READABLE}.")
    elif glob.has_magic(item):
        candidates = sorted(found for match in glob.glob(item, recursive=True) if (found := Path(match)).is_file())
    else:
        raise DanluError(f"there is no file or folder {item}.", "Check the path, or give toy, stdlib or hf:OWNER/NAME.")
    files = tuple((candidate, form) for candidate in candidates if (form := format_of(candidate)))
    if not files:
        raise DanluError(f"there is no file to read in {item}.", f"Put files of these kinds there: {READABLE}.")
    return Source(item, name, files, len(candidates) - len(files))


def _tree(root: Path, skipped: frozenset[str] = frozenset()) -> list[Path]:
    """All files under a folder, sorted by their path; hidden ones and folders named in `skipped` are passed over."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in skipped and not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def _read(
    source: Source, config: CorpusConfig, note: Callable[[Path, Encoding], None]
) -> Iterator[tuple[str, str] | Fault]:
    return chain.from_iterable(
        read_file(path, form, source.name, config.text_field, config.piece_bytes, note) for path, form in source.files
    )


def _prepare(texts: Iterable[tuple[str, str] | Fault], name: str, config: CorpusConfig) -> Iterator[Entry | Fault]:
    for text in texts:
        if isinstance(text, Fault):
            yield text
        else:
            yield prepare(Document(text[0], name), text[1], config.min_characters, config.max_characters)
