import random

import pytest

from danlu.common.errors import DanluError
from danlu.tokens.config import TokensConfig
from danlu.tokens.vocabulary import choose_vocab_size, count_distinct_words, learn_vocabulary, sample


@pytest.mark.parametrize(
    ("train_bytes", "words", "size"),
    [
        (20_000, 3_000, 512),  # little text
        (1_000_000, 13_000, 512),
        (11_000_000, 200_000, 1664),
        (1_000_000_000, 10**6, 15872),
        (10**11, 10**7, 65536),  # two bytes a token
        (24_000_000, 764, 1024),  # a toy language, however much of it
    ],
)
def test_the_size_grows_with_the_text_up_to_its_words(train_bytes: int, words: int, size: int) -> None:
    assert choose_vocab_size(train_bytes, words) == size


def test_words_are_runs_of_letters_and_single_ideographs() -> None:
    assert count_distinct_words(["The cat, the café! cat_2", "床前明月光，明月"]) == 4 + 5


def test_the_sample_is_the_same_always_and_of_the_size_asked_for() -> None:
    texts = [f"document {i}" for i in range(10_000)]
    some = list(sample(texts, 0.3))
    assert abs(len(some) - 3000) < 150
    assert set(sample(reversed(texts), 0.3)) == set(some)
    assert list(sample(texts, 2.0)) == texts


def _words(number: int, length: int) -> list[str]:
    generator = random.Random(0)
    return [" ".join("".join(generator.choices("abcdefghij", k=length)) for _ in range(50)) for _ in range(number)]


def test_a_vocabulary_has_exactly_the_size_asked_for() -> None:
    assert learn_vocabulary(_words(100, 5), 10**9, 333).get_vocab_size() == 333


def test_a_vocabulary_larger_than_the_text_supports_is_refused() -> None:
    texts = _words(3, 4)
    with pytest.raises(DanluError, match="larger than the corpus supports: it gives") as caught:
        learn_vocabulary(texts, 10**9, 5000)
    supported = int(str(caught.value).split("it gives ")[1].split(".")[0])
    assert learn_vocabulary(texts, 10**9, supported).get_vocab_size() == supported


def test_where_nobody_asks_a_small_text_gets_what_it_supports() -> None:
    size = learn_vocabulary(["abc abc abc"] * 20, 220, None).get_vocab_size()
    assert size == 260
    assert learn_vocabulary(_words(4, 4), 1000, None).get_vocab_size() == 320


def test_a_vocabulary_without_room_for_bytes_is_refused() -> None:
    with pytest.raises(DanluError, match="at least 260"):
        TokensConfig(vocab_size=259)
