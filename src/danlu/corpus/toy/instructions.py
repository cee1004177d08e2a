"""Instructions for the toy language: what an assistant is asked to do, in words and as constraints that can be checked.

Every instruction comes from something the generator has told, so that it can be met: a story with its people, things,
length and ending; the rest of a story; a question whose answer the world knows; a list, a sum; a translation, for every
story can be told in both languages. What the generator told is the response of a perfect assistant.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from danlu.common.errors import DanluError
from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Chooser
from danlu.corpus.toy.config import Language, ToyConfig
from danlu.corpus.toy.english import English
from danlu.corpus.toy.exercises import CATEGORY, LENGTH, NUMBER
from danlu.corpus.toy.plan import tell
from danlu.corpus.toy.questions import KIND, KINDS
from danlu.corpus.toy.scene import Scene
from danlu.corpus.toy.sentences import split
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.wording import ask_in_words
from danlu.corpus.toy.world import Noun

Kind = Literal["scene", "story", "continue", "question", "list", "sum", "translate"]
ConstraintKind = Literal["sentences", "person", "word", "ends_with", "present", "topic"]

KIND_SHARES: dict[Kind, float] = {
    "scene": 0.2, "story": 0.25, "continue": 0.1, "question": 0.25, "list": 0.05, "sum": 0.05, "translate": 0.1,
}  # fmt: skip
"""How common each kind of instruction is."""
TOPICS = ("gift", "play", "rain", "animal", "search", "meal", "feeding", "numbers")
"""What a story may be asked to be about: those of the language's topics that an event shows."""
_STREAM = 1 << 50
"""Where the numbers of instructions begin in the language's stream, far from those of any corpus."""


@dataclass(frozen=True)
class Constraint:
    """One thing that a response must do."""

    kind: ConstraintKind
    """What it is about. `present`: the present tense."""
    value: str
    """The number of sentences; a person's or noun's English name; the last sentence; a topic."""


@dataclass(frozen=True)
class Instruction:
    """What an assistant is asked to do. Plain values only, so that it survives being written to a file."""

    prompt: str
    """The words."""
    kind: Kind
    language: Language
    """The language that the response must be in."""
    constraints: tuple[Constraint, ...] = ()
    given: str = ""
    """The text that the prompt gives: the beginning of a story, a story asked about, a text to translate."""
    question: str = ""
    answers: tuple[str, ...] = ()
    """All right responses to a question, the fullest first."""
    reference: str = ""
    """A right translation."""
    index: int = 0
    """Its number in the stream."""


@dataclass(frozen=True)
class InstructionConfig:
    """The instructions that a model is taught and tested with."""

    seed: int = 0
    """Which stream of instructions; any whole number from 0 on."""
    entropy: float = 0.5
    """The toy language's own knob: how evenly words and events are chosen (0 to 1)."""
    languages: tuple[Language, ...] = ("en", "zh")
    """Languages of the instructions and responses; translations need both."""
    chinese: float = 0.3
    """Share of the Chinese ones, where there are two languages (0 to 1)."""
    held_out: float = 0.1
    """Share of the prompts that are kept from training, by their hash (0 to 1)."""
    good: float = 0.35
    """Share of the demonstrations that are perfect (0 to 1); the others have two to four defects. Mixed quality is
    what leaves later steps something to improve."""

    def __post_init__(self) -> None:
        ToyConfig(seed=self.seed, entropy=self.entropy, languages=self.languages, chinese=self.chinese)  # its checks
        for name in ("held_out", "good"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise DanluError(f"the instructions' {name} is {value:g}.", "Give a number from 0 to 1.")


@dataclass(frozen=True)
class Example:
    """An instruction with a response to it."""

    instruction: Instruction
    response: str


def is_held_out(prompt: str, share: float) -> bool:
    """Whether a prompt is kept from training: a function of its words alone, so that none is on both sides."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def examples(config: InstructionConfig, start: int, count: int) -> Iterator[Example]:
    """Instructions number `start` to `start + count - 1` with perfect responses; number i depends on (config, i) alone.

    Training and held-out ones come mixed: see `split_examples`.
    """
    maker = Maker(config)
    for index in range(start, start + count):
        yield maker.example(index)


def split_examples(config: InstructionConfig, part: Literal["train", "held_out"], start: int = 0) -> Iterator[Example]:
    """The examples of one side of the split, from number `start` of the stream on, without end."""
    maker, index = Maker(config), start
    if config.held_out == (0.0 if part == "held_out" else 1.0):
        raise DanluError(f"no prompt is in the part {part}.", "Give a held_out share between 0 and 1.")
    while True:
        example = maker.example(index)
        if is_held_out(example.instruction.prompt, config.held_out) == (part == "held_out"):
            yield example
        index += 1


class Maker:
    """Makes the examples of one configuration; keeps its tables."""

    def __init__(self, config: InstructionConfig) -> None:
        self._config = config
        self._plan, self._words = Chooser(config.entropy), Chooser(config.entropy)
        self._parts: list[str] = []
        self._voices: dict[Language, Voice] = {
            "en": English(self._words, self._parts),
            "zh": Chinese(self._words, self._parts),
        }
        shares = {
            kind: share for kind, share in KIND_SHARES.items() if kind != "translate" or len(config.languages) == 2
        }
        self._kinds, self._shares = tuple(shares), tuple(shares.values())

    def example(self, index: int) -> Example:
        """Example number `index`."""
        config = self._config
        key = config.seed << 64 | (_STREAM + index)
        chance = random.Random(key)
        chinese = config.chinese if len(config.languages) == 2 else float("zh" in config.languages)
        language: Language = "zh" if chance.random() < chinese else "en"
        kind = self._choose(chance)
        match kind:
            case "scene" | "story" | "continue":
                made = self._narrative(kind, key, language, chance)
            case "question":
                made = self._question(key, language, chance)
            case "list" | "sum":
                made = self._exercise(kind, key, language)
            case "translate":
                made = self._translation(key, language)
        instruction = replace(made.instruction, index=index)
        return Example(replace(instruction, prompt=ask_in_words(instruction, chance)), made.response)

    def _choose(self, chance: random.Random) -> Kind:
        """`random.choices` promises the same numbers on no two versions of Python; this does."""
        at = chance.random() * sum(self._shares)
        for kind, share in zip(self._kinds, self._shares, strict=True):
            at -= share
            if at < 0:
                return kind
        return self._kinds[-1]

    def _start(self, key: int, language: Language) -> Voice:
        self._plan.start(key << 1)
        self._words.start(key << 1 | 1)
        self._parts.clear()
        voice = self._voices[language]
        voice.begin()
        return voice

    def _tell(self, key: int, language: Language, *, brief: bool = False) -> Scene:
        return tell(self._plan, self._start(key, language), brief=brief)

    def _narrative(self, kind: Kind, key: int, language: Language, chance: random.Random) -> Example:
        scene = self._tell(key, language)
        text = scene.voice.text
        opening, rest = text.split("\n", 1)
        response = {"scene": opening, "story": text, "continue": rest}[kind]
        given = opening if kind == "continue" else ""
        constraints = _constraints(kind, scene, response, chance)
        return Example(Instruction("", kind, language, constraints, given), response)

    def _question(self, key: int, language: Language, chance: random.Random) -> Example:
        scene = self._tell(key, language, brief=True)
        voice, text = scene.voice, scene.voice.text
        subjects = [kind.subjects(scene) for kind in KINDS]
        number = self._plan.among(KIND, sum(1 << i for i, some in enumerate(subjects) if some))
        kind, subject = KINDS[number], self._plan.one_of(subjects[number])
        if isinstance(voice, English):
            question, full, short = kind.english(voice, subject)
        else:
            assert isinstance(voice, Chinese)
            question, full, short = kind.chinese(voice, subject)
        answers = tuple(dict.fromkeys((full, short)))
        response = answers[chance.random() < 0.4 and len(answers) > 1]
        return Example(Instruction("", "question", language, (), text, question, answers), response)

    def _exercise(self, kind: Kind, key: int, language: Language) -> Example:
        voice, plan = self._start(key, language), self._plan
        if kind == "list":
            category, number = plan.pick(CATEGORY), plan.pick(LENGTH)
            left = list(category.members)
            members = (left.pop(plan.one_of(range(len(left)))) for _ in range(number))
            voice.names(category, number, members)
            question = f"{category.en}:{number}"
        else:
            first = plan.pick(NUMBER[11])
            if plan.one_of((True, False)):
                second = plan.pick(NUMBER[12 - first])
                voice.adds(first, second)
                question = f"{first}+{second}"
            else:
                first += 1
                second = plan.pick(NUMBER[first - 1])
                voice.subtracts(first, second)
                question = f"{first}-{second}"
        return Example(Instruction("", kind, language, question=question), voice.text)

    def _translation(self, key: int, language: Language) -> Example:
        other: Language = "en" if language == "zh" else "zh"
        given = self._tell(key, other).voice.text.split("\n", 1)[0]
        reference = self._tell(key, language).voice.text.split("\n", 1)[0]
        return Example(Instruction("", "translate", language, (), given, reference=reference), reference)


def _constraints(kind: Kind, scene: Scene, response: str, chance: random.Random) -> tuple[Constraint, ...]:
    """Some of what is true of a response, as demands."""
    found: list[Constraint] = []
    sentences = split(response)

    def perhaps(probability: float, constraint: ConstraintKind, value: str) -> None:
        if chance.random() < probability:
            found.append(Constraint(constraint, value))

    if kind != "continue":
        for x in scene.cast:
            perhaps(0.8, "person", x.person.en)
    said = _nouns(scene, response)
    wanted = said[: 1 + int(chance.random() * 2)]
    for noun in wanted:
        perhaps(0.7, "word", noun.en)
    # Counting may be told of in the opening alone; all other topics show in what happens afterwards.
    if kind != "scene" and scene.topic in TOPICS and not (kind == "continue" and scene.topic == "numbers"):
        perhaps(0.3, "topic", scene.topic)
    perhaps(0.6, "sentences", str(len(sentences)))
    voice = scene.voice
    if isinstance(voice, English) and kind != "continue" and not voice.past:
        perhaps(0.8, "present", "")
    if kind != "scene":
        perhaps(0.3, "ends_with", sentences[-1])
    if not found:
        found.append(Constraint("sentences", str(len(sentences))))
    return tuple(found)


def _nouns(scene: Scene, response: str) -> Sequence[Noun]:
    """The nouns of a story that stand in a part of it."""
    nouns = [t.noun for t in scene.things]
    nouns += [scene.beast.animal.noun] if scene.beast is not None else []
    return [noun for noun in dict.fromkeys(nouns) if mentions(response, noun)]


def mentions(text: str, noun: Noun) -> bool:
    """Whether a text has a noun's word, in either language."""
    padded = f" {text} "
    for mark in '.,?!"\n':
        padded = padded.replace(mark, " ")
    english = any(f" {word} " in padded.lower() for word in (noun.en, noun.plural) if word)
    return english or noun.zh in text
