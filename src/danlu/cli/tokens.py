"""`danlu tokens`: a corpus in, a tokenizer and token shards out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import new_folder, parse
from danlu.common.files import folder_atomic
from danlu.common.progress import Progress
from danlu.tokens.config import TokensConfig


@dataclass(frozen=True)
class Arguments:
    """Learn a vocabulary from a corpus and write its documents as tokens."""

    corpus: tyro.conf.Positional[Path]
    """The folder that `danlu corpus` wrote (RUN/corpus)."""
    tokens: Annotated[TokensConfig, tyro.conf.arg(name="")]
    out: Path
    """The folder to write."""


def main(words: list[str]) -> None:
    """Run the verb."""
    from danlu.tokens.build import build_tokens

    arguments = parse(Arguments, words, "tokens")
    out = new_folder(arguments.out)
    report = Progress()
    report(f"reading {arguments.corpus}, writing {out}")
    with folder_atomic(out) as folder, report.indented():
        build_tokens(arguments.corpus, arguments.tokens, folder, report)
    report(f"wrote {out}; next: danlu ladder --tokens {out} --out {out.with_name('ladder')}")
