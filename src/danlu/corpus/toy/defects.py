"""Responses with known defects: what less careful people write, and what a model must learn to avoid."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from danlu.corpus.toy.config import Language
from danlu.corpus.toy.instructions import Example, Instruction, InstructionConfig, Maker, is_held_out, split_examples
from danlu.corpus.toy.sentences import split
from danlu.corpus.toy.world import COLOURS, NUMBERS, NUMBERS_ZH, PEOPLE, PLACES

_NUM_DEFECTS = (2, 2, 3, 3, 4)
_ELSEWHERE = 1 << 20
"""How far off in the stream the instruction is whose response is given by mistake."""
_FOREIGN: dict[Language, tuple[str, ...]] = {
    "en": ("这是美好的一天。", "大家都回家了。", "他们笑了。"),
    "zh": ("It was a good day.", "Everyone went home.", "They laughed."),
}


@dataclass(frozen=True)
class Spoilt:
    """An example whose response may be worse than it could be."""

    instruction: Instruction
    response: str
    defects: tuple[str, ...]
    """The defects put in, by name; none: the response is perfect."""


def demonstrations(
    config: InstructionConfig, part: Literal["train", "held_out"] = "train", start: int = 0
) -> Iterator[Spoilt]:
    """Demonstrations of the quality that the configuration asks for, without end; they depend on the arguments alone.

    A defect need not cost anything: a story in which a ball has another colour may still be as good a story.
    """
    spoiler = Spoiler(config)
    for example in split_examples(config, part, start):
        yield spoiler.demonstration(example)


def _pieces(text: str) -> list[str]:
    """The sentences of a text with the gaps between them at odd places; joined, they are the text."""
    pieces = re.split(r"(?<=[.?!。？！])([\"”]?)(?=[ \n]|[^\"”\s])", text)
    merged: list[str] = []
    for i in range(0, len(pieces), 2):
        sentence = pieces[i] + (pieces[i + 1] if i + 1 < len(pieces) else "")
        if sentence:
            merged.append(sentence)
    return merged


class Spoiler:
    """Puts defects into responses, with a chance of its own for each."""

    def __init__(self, config: InstructionConfig) -> None:
        self._config = config
        self._maker = Maker(config)
        self._defects: tuple[tuple[str, Callable[[Example, str, random.Random], str | None]], ...] = (
            ("cut_short", self._cut_short),
            ("sentence_missing", self._sentence_missing),
            ("sentence_again", self._sentence_again),
            ("wrong_name", self._wrong_name),
            ("words_swapped", self._words_swapped),
            ("word_missing", self._word_missing),
            ("wrong_fact", self._wrong_fact),
            ("other_language", self._other_language),
            ("goes_on", self._goes_on),
            ("another_answer", self._another_answer),
        )
        self.names = tuple(name for name, _ in self._defects)
        """All defects there are."""

    def demonstration(self, example: Example) -> Spoilt:
        """The example with a perfect response, or with two to four defects, as the configuration's share has it."""
        chance = random.Random(f"{self._config.seed}/{example.instruction.index}/quality")
        if chance.random() < self._config.good:
            return Spoilt(example.instruction, example.response, ())
        return self.spoil(example, _NUM_DEFECTS[int(chance.random() * len(_NUM_DEFECTS))], chance)

    def spoil(self, example: Example, number: int, chance: random.Random) -> Spoilt:
        """The example with so many defects, fewer where no more can be put in."""
        response = example.response
        done: list[str] = []
        order = sorted(self._defects, key=lambda _: chance.random())
        for name, defect in order:
            if len(done) == number:
                break
            changed = defect(example, response, chance)
            if changed is not None and changed.strip() and changed != response:
                response = changed
                done.append(name)
        return Spoilt(example.instruction, response, tuple(done))

    def one(self, name: str, example: Example, chance: random.Random) -> str | None:
        """The response with one named defect; None where it cannot have it."""
        changed = dict(self._defects)[name](example, example.response, chance)
        return None if changed == example.response else changed

    # The defects

    def _cut_short(self, example: Example, text: str, chance: random.Random) -> str | None:
        """The end is missing, in mid-sentence."""
        keep = len(text) - 2 - int(chance.random() * min(60, len(text) // 2))
        cut = text[: max(keep, 1)].rstrip()
        return cut.rstrip('.?!。？！"”') or None

    def _sentence_missing(self, example: Example, text: str, chance: random.Random) -> str | None:
        pieces = _pieces(text)
        if len(pieces) < 3:
            return None
        del pieces[1 + _below(len(pieces) - 2, chance)]
        return "".join(pieces)

    def _sentence_again(self, example: Example, text: str, chance: random.Random) -> str | None:
        """The last sentence comes again and again."""
        last = split(text)[-1]
        gap = " " if example.instruction.language == "en" else ""
        return text + (gap + last) * (3 + _below(4, chance))

    def _wrong_name(self, example: Example, text: str, chance: random.Random) -> str | None:
        """Somebody is called by the name of somebody else."""
        language = example.instruction.language
        names = [name for person in PEOPLE if (name := person.en if language == "en" else person.zh) in text]
        others = [person.en if language == "en" else person.zh for person in PEOPLE]
        others = [name for name in others if name not in names]
        if not names:
            return None
        name = names[_below(len(names), chance)]
        return _replace_one(text, name, others[_below(len(others), chance)], chance)

    def _words_swapped(self, example: Example, text: str, chance: random.Random) -> str | None:
        """Two neighbouring words change places."""
        words = _words(text, example.instruction.language)
        if len(words) < 4:
            return None
        at = 1 + _below(len(words) - 3, chance)
        words[at], words[at + 1] = words[at + 1], words[at]
        return _join(words, example.instruction.language)

    def _word_missing(self, example: Example, text: str, chance: random.Random) -> str | None:
        words = _words(text, example.instruction.language)
        if len(words) < 4:
            return None
        del words[1 + _below(len(words) - 2, chance)]
        return _join(words, example.instruction.language)

    def _wrong_fact(self, example: Example, text: str, chance: random.Random) -> str | None:
        """A place, a colour or a number becomes another."""
        english = example.instruction.language == "en"
        groups: tuple[Sequence[str], ...] = (
            [place.en if english else place.zh for place in PLACES],
            [colour.en if english else colour.zh for colour in COLOURS],
            NUMBERS[1:10] if english else [f"有{number}" for number in NUMBERS_ZH[3:10]],
        )
        found = [(word, group) for group in groups for word in group if re.search(_whole(word, english), text)]
        if not found:
            return None
        word, group = found[_below(len(found), chance)]
        others = [other for other in group if other != word]
        places = list(re.finditer(_whole(word, english), text))
        match = places[_below(len(places), chance)]
        return text[: match.start()] + others[_below(len(others), chance)] + text[match.end() :]

    def _other_language(self, example: Example, text: str, chance: random.Random) -> str | None:
        """A sentence stands in the other language."""
        pieces = _pieces(text)
        foreign = _FOREIGN[example.instruction.language]
        at = _below(len(pieces), chance)
        gap = pieces[at][: len(pieces[at]) - len(pieces[at].lstrip())]
        pieces[at] = gap + foreign[_below(len(foreign), chance)]
        return "".join(pieces)

    def _goes_on(self, example: Example, text: str, chance: random.Random) -> str | None:
        """More than was asked for: the beginning of something else follows."""
        other = self._other(example)
        gap = " " if example.instruction.language == "en" else ""
        return text + gap + " ".join(split(other)[: 1 + _below(4, chance)])

    def _another_answer(self, example: Example, text: str, chance: random.Random) -> str | None:
        """A good response to another instruction."""
        return self._other(example)

    def _other(self, example: Example) -> str:
        """The response to the next instruction far off that is of the same kind and language."""
        wanted, index = example.instruction, example.instruction.index + _ELSEWHERE
        while True:
            other = self._maker.example(index)
            same = (other.instruction.kind, other.instruction.language) == (wanted.kind, wanted.language)
            if same and not is_held_out(other.instruction.prompt, self._config.held_out):
                return other.response
            index += 1


def _below(number: int, chance: random.Random) -> int:
    return int(chance.random() * number)


def _whole(word: str, english: bool) -> str:
    return rf"\b{re.escape(word)}\b" if english else re.escape(word)


def _replace_one(text: str, old: str, new: str, chance: random.Random) -> str:
    """One occurrence replaced."""
    at = [match.start() for match in re.finditer(re.escape(old), text)]
    start = at[_below(len(at), chance)]
    return text[:start] + new + text[start + len(old) :]


def _words(text: str, language: Language) -> list[str]:
    """The words of a text; a Chinese character counts as one."""
    return text.split(" ") if language == "en" else list(text)


def _join(words: Sequence[str], language: Language) -> str:
    return (" " if language == "en" else "").join(words)
