import json
import math
import re
from dataclasses import replace

import pytest

from danlu.common.errors import DanluError
from danlu.corpus.document import Document
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents, entropy_bound, entropy_per_byte, translation

CONFIG = ToyConfig()


def _made(count: int, config: ToyConfig = CONFIG) -> list[Document]:
    return list(documents(config, 0, count))


def test_a_document_depends_on_its_number_alone() -> None:
    together = _made(40)
    assert list(documents(CONFIG, 17, 5)) == together[17:22]
    assert list(documents(replace(CONFIG, megabytes=3.0), 30, 1)) == [together[30]]
    assert next(documents(CONFIG, 2**40, 1)) not in together


def test_seeds_differ() -> None:
    first = {document.text for document in _made(200)}
    second = {document.text for document in _made(200, ToyConfig(seed=1))}
    assert not first & second


def test_known_document() -> None:
    # A change of this text is a change of the language: every corpus made before becomes another.
    document = next(documents(ToyConfig(languages=("en",)), 7, 1))
    assert document.text == (
        "One snowy morning, Mia is in the kitchen. Sam is there too. Mia has a cake and a green drum. "
        "On the table there is a big red ball.\n"
        "Mia gives the cake to Sam. Sam smiles. Then Mia shows the drum to him. "
        "After that, Mia and Sam play with the drum. They laugh. Mia beats it. Later, Sam goes to the bedroom.\n"
        "In the evening, everyone goes home."
    )
    assert document.labels == {
        "kind": "story",
        "language": "en",
        "topic": "gift",
        "names": ["Mia", "Sam"],
        "words": ["cake", "drum", "ball"],
        "people": [["Mia", "kitchen", 0], ["Sam", "bedroom", 0]],
        "things": [["cake", "Sam"], ["green drum", "Mia"], ["big red ball", "on the table", "kitchen"]],
        "sentences": 12,
        "index": 7,
    }


def test_shares_are_as_asked() -> None:
    made = _made(3000, ToyConfig(chinese=0.25, questions=0.4, entropy=0.1))
    chinese = sum(document.labels["language"] == "zh" for document in made) / len(made)
    questions = sum(document.labels["kind"] == "questions" for document in made) / len(made)
    assert chinese == pytest.approx(0.25, abs=0.03)
    assert questions == pytest.approx(0.4, abs=0.035)
    assert {document.labels["kind"] for document in made} == {"story", "questions", "lists", "sums"}


def test_one_language_alone() -> None:
    for language in ("en", "zh"):
        made = _made(50, ToyConfig(languages=(language,)))
        assert {document.labels["language"] for document in made} == {language}


def test_labels_survive_json() -> None:
    for document in _made(100):
        assert json.loads(json.dumps(document.labels)) == document.labels
        assert document.source == "toy"


def test_sentences_are_counted() -> None:
    for document in _made(300):
        story = re.split(r"\n(?:Question: |问：)", document.text)[0]
        assert len(re.findall(r"[.?!。？！]", story)) == document.labels["sentences"]


def test_names_and_words_of_the_labels_are_in_the_text() -> None:
    for document in _made(300):
        for label in ("names", "words"):
            for word in document.labels.get(label, []):  # type: ignore[union-attr]
                assert str(word)[:3] in document.text  # berry, berries


def test_the_same_happens_in_both_languages() -> None:
    for index in range(100):
        english, chinese = translation(CONFIG, index, "en"), translation(CONFIG, index, "zh")
        for label in ("kind", "topic", "people", "things", "lists", "sums"):
            assert english.labels.get(label) == chinese.labels.get(label)
        for asked, asked_zh in zip(
            english.labels.get("questions", []),  # type: ignore[call-overload]
            chinese.labels.get("questions", []),
            strict=True,
        ):
            assert asked[0] == asked_zh[0]
        assert english.text.count("\n") == chinese.text.count("\n")
        assert next(documents(CONFIG, index, 1)).text in (english.text, chinese.text)


def test_the_entropy_is_in_the_stated_range() -> None:
    assert 0.165 < entropy_per_byte(documents(ToyConfig(languages=("en",)), 0, 2000)) < 0.185
    assert 0.155 < entropy_per_byte(documents(ToyConfig(languages=("zh",)), 0, 2000)) < 0.175
    assert entropy_bound(CONFIG) == "exact"


def test_the_knob_raises_the_entropy() -> None:
    for language in ("en", "zh"):
        entropies = [
            entropy_per_byte(documents(ToyConfig(entropy=entropy, languages=(language,)), 0, 1500))
            for entropy in (0.0, 0.25, 0.5, 1.0)
        ]
        assert entropies == sorted(entropies)
        assert entropies[-1] > 1.3 * entropies[0]


def test_every_probability_is_one() -> None:
    for document in _made(500):
        assert document.logprob is not None
        assert math.isfinite(document.logprob)
        assert document.logprob < 0


def test_most_documents_are_unlike_each_other() -> None:
    made = _made(3000)
    assert len({document.text for document in made}) > 0.99 * len(made)


def test_lengths_suit_a_small_model() -> None:
    lengths = sorted(document.num_bytes for document in _made(1000, ToyConfig(languages=("en",))))
    assert 300 < lengths[500] < 600
    assert lengths[-1] < 1500


@pytest.mark.parametrize(
    "wrong", [{"entropy": 1.5}, {"chinese": -0.1}, {"languages": ()}, {"languages": ("en", "en")}, {"megabytes": 0.0}]
)
def test_a_wrong_wish_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DanluError):
        ToyConfig(**wrong)  # type: ignore[arg-type]
