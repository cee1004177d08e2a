"""How fast text becomes tokens and tokens become batches, against how fast training takes them.

    python benchmarks/data_speed.py [--data stdlib] [--train-tokens-per-second 60000] [--json FILE]

Tokenising counts everything from the corpus on the disk to the shards on the disk; loading, everything from the shards
to a batch in memory. Both run here alone on all cores; in training, tokenising is over before the first step.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus
from danlu.corpus.config import CorpusConfig
from danlu.hardware.machine import describe_machine, peak_memory
from danlu.tokens.build import build_tokens, tokenise
from danlu.tokens.config import TokensConfig
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader

T = TypeVar("T")

BATCH_TOKENS = 16384
CONTEXT = 256
NUM_BATCHES = 500


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a piece of work returns, and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def measure(data: tuple[str, ...], train_tokens_per_second: float) -> dict[str, float | str]:
    """Build, tokenise and load `data` once, and set the speeds against training's."""
    report = Progress()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, corpus_seconds = timed(lambda: build_corpus(CorpusConfig(data=data), folder / "corpus", report))
        tokens, whole_seconds = timed(
            lambda: build_tokens(folder / "corpus", TokensConfig(), folder / "tokens", report)
        )
        index, tokenise_seconds = timed(
            lambda: tokenise(folder / "corpus", "train", folder / "tokens" / "tokenizer", folder / "again", report)
        )
        report.clear()
        loader = Loader(TokenDataset(folder / "tokens" / "train"), CONTEXT, seed=0)
        rows = min(BATCH_TOKENS // CONTEXT, loader.sequences_per_epoch)
        loader.batch(0, rows)
        _, loader_seconds = timed(lambda: [loader.batch(rows * step, rows) for step in range(NUM_BATCHES)])
    machine = describe_machine()
    tokenised = index.tokens / tokenise_seconds
    loaded = NUM_BATCHES * rows * CONTEXT / loader_seconds
    return {
        "processor": machine.processor,
        "cores": machine.cores,
        "data": ", ".join(data),
        "vocab_size": tokens.vocab_size,
        "bytes_per_token": tokens.bytes_per_token,
        "corpus_megabytes_per_second": (corpus.train_bytes + corpus.heldout_bytes) / 1e6 / corpus_seconds,
        "vocabulary_seconds": max(0.0, whole_seconds - tokenise_seconds * (1 + tokens.heldout_tokens / index.tokens)),
        "tokenise_megabytes_per_second": index.bytes / 1e6 / tokenise_seconds,
        "tokenise_tokens_per_second": tokenised,
        "loader_tokens_per_second": loaded,
        "loader_milliseconds_per_batch": 1e3 * loader_seconds / NUM_BATCHES,
        "train_tokens_per_second": train_tokens_per_second,
        "tokenise_ratio": tokenised / train_tokens_per_second,
        "loader_ratio": loaded / train_tokens_per_second,
        "loader_share_of_step": train_tokens_per_second / loaded,
        "peak_memory_bytes": peak_memory(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", nargs="+", default=["stdlib"], help="what the corpus is made of (as danlu run --data)"
    )
    parser.add_argument("--train-tokens-per-second", type=float, default=60_000.0, help="what training takes")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    figures = measure(tuple(arguments.data), arguments.train_tokens_per_second)
    for key, value in figures.items():
        print(f"{key:<32}{value if isinstance(value, str) else f'{value:,.4g}' if value < 1e3 else f'{value:,.0f}'}")
    print(
        f"\ntokenising: {figures['tokenise_ratio']:.0f} times training (goal: 20); "
        f"the loader takes {figures['loader_share_of_step']:.3%} of a step (goal: under 1%)"
    )
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
