import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.tokens.tokenizer import (
    END_OF_TEXT,
    SPECIAL_TOKENS,
    SPLIT_PATTERN,
    load_tokenizer,
    save_tokenizer,
    token_id,
    train_tokenizer,
)

TEXTS = [
    "It's 2024, and we're 12 o'clock people; they'll say so: the cat sat on the mat, the cat sat on the mat.",
    "def add(a, b):\n    return a + b\n\n\n\tprint(add(1, 22), '... ')  \r\n",
    "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。",
    "Съешь же ещё этих мягких французских булок, да выпей чаю! 😀👩‍👩‍👧 café cafe\u0301 ﬁ ½ ٣ Ⅷ",
] * 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(TEXTS, 400), folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("<|endoftext|>")
@example(" \t\r\n\n x")
def test_every_text_comes_back_in_its_normal_form(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == unicodedata.normalize("NFC", text)


def test_special_tokens_are_the_last_ids_in_order(tokenizer: Tokenizer) -> None:
    assert [token_id(tokenizer, token) for token in SPECIAL_TOKENS] == [396, 397, 398, 399]
    assert tokenizer.get_vocab_size() == 400
    with pytest.raises(DanluError, match="no token <s>"):
        token_id(tokenizer, "<s>")


def test_a_text_cannot_spell_a_special_token(folder: Path, tokenizer: Tokenizer) -> None:
    text = "a<|endoftext|>b"
    assert token_id(tokenizer, END_OF_TEXT) not in tokenizer.encode(text).ids
    assert token_id(tokenizer, END_OF_TEXT) in load_tokenizer(folder, markup=True).encode(text).ids


def test_the_same_texts_give_the_same_vocabulary() -> None:
    assert train_tokenizer(TEXTS, 400).to_str() == train_tokenizer(TEXTS, 400).to_str()


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="no tokenizer in"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DanluError, match="cannot read"):
        load_tokenizer(tmp_path)


def test_transformers_reads_the_folder_with_the_same_ids(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in [*TEXTS[:4], "a<|endoftext|><|im_start|>user\nb<|im_end|>\n"]:
        assert theirs(text)["input_ids"] == ours.encode(text).ids
    assert (theirs.eos_token_id, theirs.pad_token_id, theirs.bos_token_id) == (396, 399, None)
    assert len(theirs) == 400


def test_text_is_cut_exactly_as_qwen2_cuts_it(folder: Path) -> None:
    qwen2 = pytest.importorskip("transformers.models.qwen2.tokenization_qwen2")
    assert qwen2.PRETOKENIZE_REGEX == SPLIT_PATTERN
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    theirs = qwen2.Qwen2Tokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    ours = load_tokenizer(folder)
    for text in TEXTS[:4]:
        assert theirs(text)["input_ids"] == ours.encode(text).ids
