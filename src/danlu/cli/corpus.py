"""`danlu corpus`: text in, cleaned and split documents out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import new_folder, parse
from danlu.common.files import folder_atomic
from danlu.common.progress import Progress
from danlu.corpus.config import CorpusConfig


@dataclass(frozen=True)
class Arguments:
    """Collect text, clean it, drop duplicates, hold some out; or make the toy language."""

    corpus: Annotated[CorpusConfig, tyro.conf.arg(name="")]
    out: Path
    """The folder to write."""


def main(words: list[str]) -> None:
    """Run the verb."""
    from danlu.corpus.build import build_corpus

    arguments = parse(Arguments, words, "corpus")
    out = new_folder(arguments.out)
    report = Progress()
    report(f"reading {', '.join(arguments.corpus.data)}, writing {out}")
    with folder_atomic(out) as folder, report.indented():
        build_corpus(arguments.corpus, folder, report)
    report(f"wrote {out}; next: danlu tokens {out} --out {out.with_name('tokens')}")
