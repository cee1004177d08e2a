"""Makes a corpus: read, clean, drop duplicates, hold out, write, count. Memory stays flat however long the text is."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.common.files import sha256_file, write_json, writing
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.corpus.cleaning import Holdout, Sieve
from danlu.corpus.config import CorpusConfig
from danlu.corpus.document import Document
from danlu.corpus.encodings import NAMES, Encoding
from danlu.corpus.records import Block, Entry, Reason
from danlu.corpus.sources import Source, read_blocks, resolve
from danlu.corpus.store import HELDOUT, SUMMARY, Bound, CorpusSummary, ShardWriter, SourceSummary, open_lines
from danlu.corpus.toy.language import entropy_bound


def build_corpus(config: CorpusConfig, out: Path, report: Progress) -> CorpusSummary:
    """Make the corpus that `config` asks for.

    Args:
        out: folder to write to: train-*.jsonl.zst, heldout.jsonl.zst and, when all is whole, corpus.json.
        report: tells the user how far it is.

    Raises:
        DanluError: a source is missing, unreadable or damaged; nothing is left to train on or to hold out; the disk is
            full.
    """
    sources = resolve(config)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        builder = _Builder(config, out)
        for source in sources:
            for block in _shown(source, config, report):
                builder.take(block)
        summary = builder.finish()
        write_json(out / SUMMARY, to_mapping(summary))
    for line in describe(summary):
        report(line)
    return summary


def read_data(config: CorpusConfig, report: Progress) -> Iterator[Document]:
    """Stream the clean documents of `config.data`, each text once, without making a corpus: for judging a model on.

    What is left out is reported at the end.

    Raises:
        DanluError: a source is missing, unreadable or damaged.
    """
    sieve = Sieve()
    for source in resolve(config):
        for block in _shown(source, config, report):
            yield from (entry.document() for entry in sieve.new(block))
    for name, counts in sorted(sieve.dropped.items()):
        report(f"{name}: {'; '.join(_dropped(counts, sieve.first_dropped[name]))}")


def _shown(source: Source, config: CorpusConfig, report: Progress) -> Iterator[Block]:
    """The blocks of a source, while the user sees how far it is."""
    if source.left_alone:
        one = source.left_alone == 1
        what = "1 file of another kind is" if one else f"{source.left_alone:,} files of other kinds are"
        report(f"{source.item}: {what} left alone")
    expected = config.toy.megabytes * 1e6 if source.item == "toy" else source.expected_bytes
    read, recoded = 0, dict[str, list[Path]]()

    def note(path: Path, encoding: Encoding) -> None:
        recoded.setdefault(NAMES[encoding], []).append(path)

    with closing(read_blocks(source, config, note)) as blocks:
        for block in blocks:
            yield block
            read += sum(entry.num_bytes for entry in block if isinstance(entry, Entry))
            report.show(read, expected, source.name, f"{read / 1e6:,.1f} MB")
    for name, paths in recoded.items():
        files = f"{paths[0]} is" if len(paths) == 1 else f"{len(paths):,} files ({paths[0]} the first) are"
        report(f"{source.item}: {files} in {name}, and read as that")


def describe(summary: CorpusSummary) -> list[str]:
    """What a corpus holds and what was left out of it, in lines for the user."""
    lines = []
    for name in sorted({*summary.train, *summary.heldout, *summary.dropped}):
        parts = [
            f"{side[name].documents:,} documents ({side[name].bytes / 1e6:,.2f} MB) {use}"
            for side, use in ((summary.train, "to train on"), (summary.heldout, "held out"))
            if name in side
        ]
        parts += _dropped(summary.dropped.get(name, {}), summary.first_dropped.get(name, {}))
        lines.append(f"{name}: {'; '.join(parts)}")
    return lines


def _dropped(counts: Mapping[Reason, int], first: Mapping[Reason, str]) -> list[str]:
    return [
        f"{number:,} dropped: {reason.replace('_', ' ')}" + (f" (first: {first[reason]})" if reason in first else "")
        for reason, number in counts.items()
    ]


@dataclass
class _Tally:
    documents: int = 0
    bytes: int = 0
    logprob: float | None = 0.0

    def count(self, entry: Entry) -> None:
        self.documents += 1
        self.bytes += entry.num_bytes
        self.logprob = None if self.logprob is None or entry.logprob is None else self.logprob + entry.logprob

    def summary(self, bound: Bound) -> SourceSummary:
        if self.logprob is None:
            return SourceSummary(self.documents, self.bytes)
        return SourceSummary(self.documents, self.bytes, -self.logprob / self.bytes, bound)


class _Builder:
    def __init__(self, config: CorpusConfig, out: Path) -> None:
        self._config = config
        self._out = out
        self._sieve = Sieve()
        self._holdout = Holdout(config.heldout_share, config.heldout_megabytes * 1e6)
        self._writer = ShardWriter(out)
        self._train: defaultdict[str, _Tally] = defaultdict(_Tally)

    def take(self, block: Block) -> None:
        """Take in a block of a source."""
        for entry in self._sieve.new(block):
            for training in self._holdout.offer(entry):
                self._train[training.source].count(training)
                self._writer.write(training.line)

    def finish(self) -> CorpusSummary:
        """Write what was held out and close the files."""
        self._writer.close()
        chosen = self._holdout.chosen()
        self._refuse_if_empty(bool(chosen))
        heldout: defaultdict[str, _Tally] = defaultdict(_Tally)
        with open_lines(self._out / HELDOUT) as stream:
            for entry in chosen:
                heldout[entry.source].count(entry)
                stream.write(entry.line)
        bound = entropy_bound(self._config.toy)
        return CorpusSummary(
            train={name: tally.summary(bound) for name, tally in sorted(self._train.items())},
            heldout={name: tally.summary(bound) for name, tally in sorted(heldout.items())},
            dropped={name: dict(sorted(counts.items())) for name, counts in sorted(self._sieve.dropped.items())},
            first_dropped={name: dict(sorted(s.items())) for name, s in sorted(self._sieve.first_dropped.items())},
            train_files={path.name: sha256_file(path) for path in self._writer.paths},
            heldout_files={HELDOUT: sha256_file(self._out / HELDOUT)},
        )

    def _refuse_if_empty(self, any_document: bool) -> None:
        if self._train:
            return
        items = ", ".join(self._config.data)
        if any_document:
            raise DanluError(
                f"{items} holds one document alone, so none would be left to train on.",
                "Give more text, or a smaller piece_bytes so that a plain text is cut into more documents.",
            )
        dropped = sum(self._sieve.dropped.values(), Counter())
        if dropped["encoding"]:
            raise DanluError(
                f"{items} holds no text in UTF-8, UTF-16 or GB 18030 ({dropped['encoding']:,} documents in another"
                " encoding).",
                "Convert it first, for example with: iconv -f BIG5 -t UTF-8 FILE > NEW",
            )
        raise DanluError(
            f"the corpus is empty: {items} holds no text ({dropped.total():,} records dropped).", "Give other data."
        )
