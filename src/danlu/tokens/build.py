"""Makes tokens out of a corpus: learn a vocabulary, then write both sides as shards, a few megabytes at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from danlu.common.files import read_json, sha256_file, write_json, writing
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping, to_mapping
from danlu.corpus.document import Document
from danlu.corpus.store import Split, read_documents, read_summary
from danlu.tokens.config import TokensConfig
from danlu.tokens.shards import TokenIndex, TokenWriter
from danlu.tokens.tokenizer import END_OF_TEXT, load_tokenizer, save_tokenizer, token_id
from danlu.tokens.vocabulary import learn_vocabulary, sample

SUMMARY = "tokens.json"
_BATCH_BYTES = 2 * 1024 * 1024  # of text; the library spreads a batch over all processors


@dataclass(frozen=True)
class TokensSummary:
    """What a folder of tokens holds; tokens.json."""

    vocab_size: int
    """Tokens in the vocabulary, the special ones included."""
    tokenizer_sha256: str
    """Of tokenizer.json."""
    train_tokens: int
    """Tokens to train on, an end-of-text token for each document included."""
    train_documents: int
    """Documents to train on."""
    train_bytes: int
    """Length of their text (UTF-8 bytes)."""
    heldout_tokens: int
    """Tokens held out, an end-of-text token for each document included."""
    heldout_documents: int
    """Documents held out."""
    heldout_bytes: int
    """Length of their text (UTF-8 bytes)."""

    @property
    def bytes_per_token(self) -> float:
        """Bytes of training text for each training token."""
        return self.train_bytes / self.train_tokens

    @property
    def heldout_bytes_per_token(self) -> float:
        """Bytes of held-out text for each held-out token: turns nats a token into bits a byte."""
        return self.heldout_bytes / self.heldout_tokens


def read_tokens_summary(folder: Path) -> TokensSummary:
    """Read the summary of the tokens in a folder.

    Raises:
        DanluError: there is none, or it is damaged.
    """
    return from_mapping(TokensSummary, read_json(folder / SUMMARY), str(folder / SUMMARY))


def build_tokens(corpus: Path, config: TokensConfig, out: Path, report: Progress) -> TokensSummary:
    """Make the tokens of a corpus.

    Args:
        corpus: folder that `build_corpus` wrote.
        out: folder to write to: tokenizer/, train/, heldout/ and, when all is whole, tokens.json.
        report: tells the user how far it is.

    Raises:
        DanluError: the corpus is missing or damaged, or does not support the vocabulary; the disk is full.
    """
    summary = read_summary(corpus)
    share = config.sample_megabytes * 1e6 / summary.train_bytes
    texts = list(sample((document.text for document in read_documents(corpus, "train")), share))
    report(f"learning a vocabulary from {sum(map(len, texts)) / 1e6:,.1f} million characters")
    tokenizer = learn_vocabulary(texts, summary.train_bytes, config.vocab_size)
    del texts
    with writing(out):
        save_tokenizer(tokenizer, out / "tokenizer")
        train = tokenise(corpus, "train", out / "tokenizer", out / "train", report)
        heldout = tokenise(corpus, "heldout", out / "tokenizer", out / "heldout", report)
        tokens = TokensSummary(
            vocab_size=train.vocab_size,
            tokenizer_sha256=train.tokenizer_sha256,
            train_tokens=train.tokens,
            train_documents=train.documents,
            train_bytes=train.bytes,
            heldout_tokens=heldout.tokens,
            heldout_documents=heldout.documents,
            heldout_bytes=heldout.bytes,
        )
        write_json(out / SUMMARY, to_mapping(tokens))
    report(
        f"vocabulary of {tokens.vocab_size:,}; {tokens.train_tokens:,} tokens to train on, "
        f"{tokens.heldout_tokens:,} held out; {tokens.bytes_per_token:.2f} bytes a token"
    )
    return tokens


def tokenise(corpus: Path, split: Split, tokenizer_folder: Path, out: Path, report: Progress) -> TokenIndex:
    """Write one side of a corpus as shards of tokens. Of the held-out side, the index keeps where each document lies.

    Raises:
        DanluError: the corpus or the tokenizer is missing or damaged.
    """
    summary = read_summary(corpus)
    total = summary.train_bytes if split == "train" else summary.heldout_bytes
    tokenizer = load_tokenizer(tokenizer_folder)
    writer = TokenWriter(
        out,
        vocab_size=tokenizer.get_vocab_size(),
        eos_id=token_id(tokenizer, END_OF_TEXT),
        tokenizer_sha256=sha256_file(tokenizer_folder / "tokenizer.json"),
        keep_spans=split == "heldout",
    )
    done = 0
    for documents, sizes in _batches(read_documents(corpus, split)):
        all_ids = encode(tokenizer, [document.text for document in documents])
        for document, size, ids in zip(documents, sizes, all_ids, strict=True):
            writer.write(ids, size, document.source)
        done += sum(sizes)
        report.show(done, total, f"tokens ({split})", f"{done / 1e6:,.1f} MB")
    return writer.close()


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """The ids of each text, worked out on all processors at once; nothing is added."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _batches(documents: Iterable[Document]) -> Iterator[tuple[list[Document], list[int]]]:
    """Documents and the bytes of each, a few megabytes at a time."""
    batch: list[Document] = []
    sizes: list[int] = []
    left = _BATCH_BYTES
    for document in documents:
        batch.append(document)
        sizes.append(document.num_bytes)
        left -= sizes[-1]
        if left <= 0:
            yield batch, sizes
            batch, sizes, left = [], [], _BATCH_BYTES
    if batch:
        yield batch, sizes
