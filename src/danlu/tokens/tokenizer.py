"""The tokenizer: byte-level BPE cut as Qwen2 cuts, in files that every reader of Hugging Face folders takes."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from danlu.common.errors import DanluError
from danlu.common.files import write_atomic, write_json

END_OF_TEXT = "<|endoftext|>"
"""Follows every document."""
MESSAGE_START = "<|im_start|>"
"""Opens a chat message."""
MESSAGE_END = "<|im_end|>"
"""Closes a chat message."""
PAD = "<|pad|>"
"""Fills up a batch. Never END_OF_TEXT: a model that is not judged on padding would not learn to stop."""
SPECIAL_TOKENS = (END_OF_TEXT, MESSAGE_START, MESSAGE_END, PAD)
"""In the order of their ids, which are the last of the vocabulary."""

# Qwen2's (Qwen team 2024): contractions, words with the sign before them, single digits, signs, line ends, spaces.
# llama.cpp knows it by the name "qwen2".
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a vocabulary of at most `vocab_size` tokens; fewer where the texts hold no further pair twice.

    The same texts in the same order give the same vocabulary.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json to a folder.

    The class named there is the one that `transformers` 4 and 5 both read without changing an id.
    """
    write_atomic(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END_OF_TEXT,
        "pad_token": PAD,
        "unk_token": None,
        "additional_special_tokens": [MESSAGE_START, MESSAGE_END],
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)


def load_tokenizer(folder: Path, *, markup: bool = False) -> Tokenizer:
    """Read the tokenizer of a tokenizer or model folder.

    Args:
        markup: whether special tokens spelled out in a text become their ids, as text from a chat template needs. By
            default they are characters like any others, so that no text can end its own document.

    Raises:
        DanluError: there is no tokenizer.json, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise DanluError(f"there is no tokenizer in {folder}.", "Give a folder that holds a tokenizer.json.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise DanluError(f"cannot read {path}: {error}.", "Make or copy the tokenizer again.") from error
    tokenizer.encode_special_tokens = not markup
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that must be there.

    Raises:
        DanluError: the vocabulary lacks it.
    """
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise DanluError(
            f"the tokenizer has no token {token}.", "Use a tokenizer that danlu made, or add the token to it."
        )
    return found
