"""The toy language: an unlimited stream of documents, each of known probability.

What the probability of a document means. A document is made by a sequence of choices, and its `logprob` is the sum of
the logarithms of their probabilities. Were there two sequences with the same text, the text's own probability would be
larger than that, and the mean of -logprob would only bound the entropy of the texts from above. The language is made so
that there is one: no fact is settled before the text tells it, every sentence ends with its own mark, and in every
state different choices lead to different next sentences. So -logprob is exactly the text's information, and its mean
exactly the entropy. The tests show it on parts of the language by going through all the texts that can follow (their
probabilities add up to one and none comes twice), and on whole documents by reading them back (`parse`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from danlu.corpus.document import Document, Label
from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Choice, Chooser
from danlu.corpus.toy.config import Language, ToyConfig
from danlu.corpus.toy.english import English
from danlu.corpus.toy.exercises import lists, sums
from danlu.corpus.toy.plan import tell
from danlu.corpus.toy.questions import ask
from danlu.corpus.toy.scene import Scene
from danlu.corpus.toy.voice import Voice

SOURCE = "toy"
_SHORT_PIECES = 0.05
"""Share of the lists, and of the sums, among the documents without questions."""


def documents(config: ToyConfig, start: int, count: int) -> Iterator[Document]:
    """Documents number `start` to `start + count - 1` of the stream that the configuration names.

    Document i is a function of the configuration and i alone, so ranges can be made anywhere in any order, and a range
    far off (from 2^40 on, say) is a stream of its own for another use. The size in megabytes plays no part.
    """
    writer = Writer(config)
    for index in range(start, start + count):
        yield writer.document(index)


def translation(config: ToyConfig, index: int, language: Language) -> Document:
    """Document `index` as it is told in a language: the same happens, whatever language the stream has it in."""
    return Writer(replace(config, languages=(language,))).document(index)


def entropy_per_byte(some: Iterable[Document]) -> float:
    """Source entropy (nats per UTF-8 byte), estimated by the documents' own probabilities.

    The mean information of a document, where it ends included, over the mean length; the standard error falls as one
    over the root of the number of documents. Whether this is the entropy or a bound: `entropy_bound`.
    """
    nats, num_bytes = 0.0, 0
    for document in some:
        assert document.logprob is not None
        nats -= document.logprob
        num_bytes += document.num_bytes
    if not num_bytes:
        raise ValueError("there is no document")
    return nats / num_bytes


def entropy_bound(config: ToyConfig) -> Literal["exact", "upper"]:
    """Whether the source entropy is exact or an upper bound: exact, for every text has one derivation (see above)."""
    del config  # under every configuration alike
    return "exact"


class Writer:
    """Writes the documents of one configuration; keeps its tables.

    Args:
        plan: chooses what happens.
        words: chooses how it is told. Both are made from the configuration unless given (a parser gives its own).
        parts: where the text is put together, piece by piece.
    """

    def __init__(
        self,
        config: ToyConfig,
        plan: Chooser | None = None,
        words: Chooser | None = None,
        parts: list[str] | None = None,
    ) -> None:
        self._seed = config.seed
        self._plan = plan or Chooser(config.entropy)
        self._words = words or Chooser(config.entropy)
        self._parts = [] if parts is None else parts
        self._voices: dict[Language, Voice] = {
            "en": English(self._words, self._parts),
            "zh": Chinese(self._words, self._parts),
        }
        rest = 1 - config.questions
        kinds = {
            "story": rest * (1 - 2 * _SHORT_PIECES),
            "questions": config.questions,
            "lists": rest * _SHORT_PIECES,
            "sums": rest * _SHORT_PIECES,
        }
        self._kind = Choice({kind: share for kind, share in kinds.items() if share}, steady=True)
        chinese = config.chinese if len(config.languages) == 2 else float("zh" in config.languages)
        shares: dict[Language, float] = {"en": 1 - chinese, "zh": chinese}
        self._language = Choice({name: share for name, share in shares.items() if share}, steady=True)

    def document(self, index: int) -> Document:
        """Document number `index`."""
        key = (self._seed << 64 | index) << 1
        # Two streams of chance: whatever the words need, the same happens in both languages.
        self._plan.start(key)
        self._words.start(key | 1)
        labels = self.write()
        labels["index"] = index
        return Document("".join(self._parts), SOURCE, labels, self._plan.logprob + self._words.logprob)

    def write(self) -> dict[str, Label]:
        """Put a document together as the choosers choose; its labels."""
        self._parts.clear()
        kind, language = self._plan.pick(self._kind), self._plan.pick(self._language)
        voice = self._voices[language]
        voice.begin()
        labels: dict[str, Label] = {"kind": kind, "language": language}
        if kind == "lists":
            labels["lists"] = lists(self._plan, voice)
            labels["topic"] = "lists"
        elif kind == "sums":
            labels["sums"] = sums(self._plan, voice)
            labels["topic"] = "sums"
        else:
            scene = tell(self._plan, voice, brief=kind == "questions")
            _describe(scene, language, labels)
            if kind == "questions":
                labels["questions"] = ask(scene)
        labels["sentences"] = voice.num_sentences
        return labels


def _describe(scene: Scene, language: Language, labels: dict[str, Label]) -> None:
    """Label a story: what it is about, whom and what it names (in its language), and how things stand at its end.

    `people`: name, place and number of the counted things of each person. `things`: description, and who holds it, or
    spot and place where it lies, or nothing more where it is gone. These two are in English for both languages.
    """
    labels["topic"] = scene.topic
    cast, things = scene.cast, scene.things
    nouns = [t.noun for t in things]
    if scene.beast is not None:
        nouns.append(scene.beast.animal.noun)
    if scene.counted is not None:
        nouns.append(scene.counted)
    if language == "en":
        labels["names"] = [x.person.en for x in cast]
        labels["words"] = list(dict.fromkeys(noun.en for noun in nouns))
    else:
        labels["names"] = [x.person.zh for x in cast]
        labels["words"] = list(dict.fromkeys(noun.zh for noun in nouns))
    labels["people"] = [[x.person.en, x.place.en, x.count] for x in cast]
    where: list[list[str]] = []
    for t in things:
        if t.holder is not None:
            where.append([t.about.en, t.holder.person.en])
        elif t.place is not None and t.spot is not None:
            where.append([t.about.en, t.spot.en, t.place.en])
        else:
            where.append([t.about.en])
    labels["things"] = where
