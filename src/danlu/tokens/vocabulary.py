"""How many tokens a corpus deserves, and the vocabulary learned from a sample of it."""

import math
import re
import zlib
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.tokens.config import SMALLEST_VOCABULARY
from danlu.tokens.tokenizer import train_tokenizer

_MULTIPLE = 64  # matrix products are fastest when the table's rows are a multiple of this
_LEAST, _MOST = 512, 65536  # ids up to 65535 fit in two bytes

# Kana and Han, which are written without spaces: there each character stands for a word.
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W\d_{_IDEOGRAPH}]+")


def choose_vocab_size(train_bytes: int, distinct_words: int) -> int:
    """The vocabulary size that a corpus gets where the user names none.

    The smaller of two numbers, rounded up to a multiple of 64, and from 512 to 65,536:
    - half the square root of the training text in bytes: about 1,600 for eleven megabytes, 16,000 for a gigabyte. The
      number of distinct words of natural text grows about so (Heaps' law), and so does the size that
      pays for its rows in the embedding table (Tao et al. 2024, "Scaling laws with vocabulary");
    - the 260 bytes and special tokens and one token for each distinct word: a toy language needs no more, however
      much of it there is.

    Args:
        train_bytes: length of the training text (UTF-8 bytes).
        distinct_words: runs of letters, and single characters of Chinese and Japanese, that differ.
    """
    size = min(math.sqrt(train_bytes) / 2, SMALLEST_VOCABULARY + distinct_words)
    return min(max(math.ceil(size / _MULTIPLE) * _MULTIPLE, _LEAST), _MOST)


def count_distinct_words(texts: Iterable[str]) -> int:
    """Runs of letters, and single characters of Chinese and Japanese, that differ."""
    words: set[str] = set()
    for text in texts:
        words.update(_WORD.findall(text))
    return len(words)


def sample(texts: Iterable[str], share: float) -> Iterator[str]:
    """About that share of the texts, chosen by a hash of each: the same ones always, from everywhere."""
    limit = share * 2**32
    return (text for text in texts if zlib.crc32(text.encode()) < limit)


def learn_vocabulary(texts: list[str], train_bytes: int, vocab_size: int | None) -> Tokenizer:
    """Learn the vocabulary of a corpus from a sample of its texts.

    Args:
        train_bytes: length of the whole training text (UTF-8 bytes).
        vocab_size: exactly this many tokens; None takes what `choose_vocab_size` says, or the multiple of 64 that the
            texts support where that is less.

    Raises:
        DanluError: the texts do not support the size asked for.
    """
    wanted = vocab_size or choose_vocab_size(train_bytes, count_distinct_words(texts))
    tokenizer = train_tokenizer(texts, wanted)
    supported = tokenizer.get_vocab_size()
    if supported == wanted:
        return tokenizer
    if vocab_size is not None:
        raise DanluError(
            f"a vocabulary of {vocab_size} tokens is larger than the corpus supports: it gives {supported}.",
            f"Leave vocab_size out, set it to {supported} at most, or give more text.",
        )
    return train_tokenizer(texts, max(supported // _MULTIPLE * _MULTIPLE, SMALLEST_VOCABULARY))
