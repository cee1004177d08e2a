"""The gold score: how well a response does what an instruction of the toy language asks, in [0, 1].

A pure function of (instruction, response), for any string. It plays the part that people's own judgement plays with
real language: simulated labellers rank by it, and reports show it. Nothing is trained on it directly.

Exact: which sentences belong to the language (all that its voices can say, and no others, but that a thing's qualities
may be left out and that what adverbs or pronouns the generator would choose is not asked); contradictions to what was
told before and to the facts of the world (`truth`); the right answers to questions, lists and sums; counts of
sentences. Heuristic, for partial credit: how far an unreadable sentence resembles the language (`familiarity`), how
near a wrong answer comes (shared words of content), how alike two tellings are (events in common order), and all the
weights below. A perfect response scores 1, an empty one 0.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from danlu.corpus.toy.config import Language
from danlu.corpus.toy.instructions import Constraint, Instruction, mentions
from danlu.corpus.toy.lexicon import lexicon
from danlu.corpus.toy.sentences import LONGEST, Reading, familiarity, read, split
from danlu.corpus.toy.truth import Story
from danlu.corpus.toy.wording import NOUNS, PERSONS, number_word
from danlu.corpus.toy.world import (
    AGES,
    CATEGORIES,
    COLOURS,
    NUMBERS,
    NUMBERS_ZH,
    PLACES,
    SIZES,
    WEATHERS,
)

WEIGHTS = {"grammatical": 0.3, "true": 0.25, "obeys": 0.25, "length": 0.1, "ends": 0.1}
"""Weights of the parts of a narrative's score; where nothing is asked for, the others share its weight."""
ANSWER_WEIGHTS = {"true": 0.75, "grammatical": 0.15, "ends": 0.1}
"""Weights of the parts for questions, lists and sums, whose length (one sentence is asked for) is a factor."""
UNREADABLE = 0.5
"""The most credit that a sentence gets which the language cannot say."""
NEAR = 0.5
"""The most credit that a wrong answer gets for the words it shares with a right one."""
USUAL = {"scene": (2, 8), "story": (7, 26), "continue": (2, 22), "translate": (2, 10)}
"""Lengths (sentences) that the language's own texts have, where no number is asked for."""
REPEATS = 3
"""Sentences that may come again in one text: more never do in the language's own."""
MAX_CHARACTERS = 8000
"""What follows is not read and counts as one sentence too many for each hundred characters."""
ENDINGS = frozenset({"all_go_home", "sleeps", "is_happy_with", "is_grateful", "are_friends", "good_day"})
"""Events that close a story."""
_TOPIC_EVENTS: dict[str, frozenset[str]] = {
    "gift": frozenset({"gives", "grants"}),
    "play": frozenset({"plays", "throws"}),
    "rain": frozenset({"rains"}),
    "animal": frozenset({"comes"}),
    "search": frozenset({"loses"}),
    "meal": frozenset({"hungers"}),
    "feeding": frozenset({"feeds"}),
    "numbers": frozenset({"has_some", "shares", "gains", "drops"}),
}
_LETTERS: dict[Language, re.Pattern[str]] = {"en": re.compile("[A-Za-z]+"), "zh": re.compile("[一-鿿]+")}
"""Letters of each language."""
_MARKS = (".", "?", "!", "。", "？", "！", '."', '?"', '!"', "。”", "？”", "！”")


@dataclass(frozen=True)
class Score:
    """A gold score with its parts, each in [0, 1]."""

    value: float
    """The score: language x no_repetition x the weighted mean of the other parts (for answers also x length)."""
    parts: dict[str, float]
    """`grammatical`, `true`, `obeys` (the constraints together), `length`, `ends`, `language`, `no_repetition`."""
    constraints: tuple[float, ...] = ()
    """How far each constraint of the instruction is met, in their order."""
    problems: tuple[str, ...] = ()
    """What is wrong, a line for each sentence that is not of the language or contradicts the story."""


def gold(instruction: Instruction, response: str) -> float:
    """The gold score alone, in [0, 1]."""
    return score(instruction, response).value


def score(instruction: Instruction, response: str) -> Score:
    """The gold score of a response with its parts. Pure; any string has one."""
    if instruction.kind in ("question", "list", "sum"):
        return _answer(instruction, response)
    return _narrative(instruction, response)


# Narratives


class _Told:
    """A text read sentence by sentence."""

    def __init__(self, text: str, language: Language, before: str = "") -> None:
        self.story = Story()
        self.grammar = 0.0
        """Sum of the sentences' credits."""
        self.true = 0
        """Sentences that can be read and contradict nothing."""
        self.present = self.tensed = 0
        self.problems: list[str] = []
        self.sentences: list[str] = []
        self.last: list[str | None] = []
        """The event of each sentence; None: unreadable."""
        for paragraph in before.split("\n"):
            self.story.new_paragraph()
            for sentence in split(paragraph):
                reading = read(sentence, language)
                if reading is not None:
                    self.story.tell(reading)
        self.num_before = len(self.story.events)
        for paragraph in text.split("\n"):
            self.story.new_paragraph()
            for sentence in split(paragraph):
                self._take(sentence, language)

    def _take(self, sentence: str, language: Language) -> None:
        self.sentences.append(sentence)
        reading: Reading | None = read(sentence, language)
        if reading is None:
            self.grammar += UNREADABLE * familiarity(sentence, language)
            self.last.append(None)
            self.problems.append(f"not of the language: {sentence}")
            return
        self.grammar += 1.0
        found = self.story.tell(reading)
        event = str(self.story.events[-1][0])
        self.last.append(event)
        if found:
            self.problems.append(f"{', '.join(dict.fromkeys(found))}: {sentence}")
        else:
            self.true += 1
        past = reading.meanings[0].past
        if past is not None:
            self.tensed += 1
            self.present += not past


def _narrative(instruction: Instruction, response: str) -> Score:
    text, over = response[:MAX_CHARACTERS].strip(), max(0, len(response) - MAX_CHARACTERS)
    language = instruction.language
    told = _Told(text, language, instruction.given if instruction.kind == "continue" else "")
    count = len(told.sentences) + over // 100
    wanted = [int(c.value) for c in instruction.constraints if c.kind == "sentences"]
    if instruction.kind == "translate":
        wanted = [len(split(instruction.reference))]
    low, high = (wanted[0], wanted[0]) if wanted else USUAL[instruction.kind]
    length = _in_range(count, low, high)
    of = max(count, low, 1)  # what is missing earns nothing, what is too much dilutes
    parts = {
        "grammatical": told.grammar / of,
        "true": told.true / of,
        "length": length,
        "ends": _ends(instruction, text, told),
        "language": _in_language(text, language),
        "no_repetition": _not_repeated(told.sentences),
    }
    met = tuple(_meets(constraint, text, told, length) for constraint in instruction.constraints)
    asked = [m for m, c in zip(met, instruction.constraints, strict=True) if c.kind != "sentences"]
    if instruction.kind == "translate":
        asked = [_alike(instruction.reference, told, language)]
    if asked:
        parts["obeys"] = sum(asked) / len(asked)
    return Score(_weighed(WEIGHTS, parts), parts, met, tuple(told.problems))


def _weighed(weights: dict[str, float], parts: dict[str, float]) -> float:
    total = sum(weight for name, weight in weights.items() if name in parts)
    mean = sum(weight * parts[name] for name, weight in weights.items() if name in parts) / total
    factor = parts["language"] * parts["no_repetition"] * (1.0 if "length" in weights else parts["length"])
    return min(1.0, max(0.0, factor * mean))


def _in_range(count: int, low: int, high: int) -> float:
    """1 within the range, falling to 0 at none and at twice as many."""
    if count < low:
        return count / low
    return 1.0 if count <= high else max(0.0, 1.0 - (count - high) / high)


def _ends(instruction: Instruction, text: str, told: _Told) -> float:
    """Whether a text is finished: its last sentence has its mark, and a story comes to its end."""
    if not text.endswith(_MARKS):
        return 0.0
    if instruction.kind in ("scene", "translate"):
        return 1.0
    return 1.0 if told.last and told.last[-1] in ENDINGS else 0.5


def _in_language(text: str, language: Language) -> float:
    """The share of a text's letters that belong to the language."""
    letters = sum(map(str.isalpha, text))
    own = sum(map(len, _LETTERS[language].findall(text)))
    return own / letters if letters else 0.0


def _not_repeated(sentences: Sequence[str]) -> float:
    """1 where no more sentences come again than in the language's own texts, falling with every further one."""
    if not sentences:
        return 1.0
    again = len(sentences) - len(set(sentences))
    return 1.0 - max(0, again - REPEATS) / len(sentences)


def _meets(constraint: Constraint, text: str, told: _Told, length: float) -> float:
    match constraint.kind:
        case "sentences":
            return length
        case "person":
            person = PERSONS[constraint.value]
            return float(re.search(rf"\b{person.en}\b", text) is not None or person.zh in text)
        case "word":
            return float(mentions(text, NOUNS[constraint.value]))
        case "present":
            return told.present / told.tensed if told.tensed else 0.0
        case "topic":
            happened = {event[0] for event in told.story.events[told.num_before :]}
            return float(bool(happened & _TOPIC_EVENTS[constraint.value]))
        case "ends_with":
            if text.endswith(constraint.value):
                return 1.0
            return 0.5 if constraint.value in text else 0.0


def _alike(reference: str, told: _Told, language: Language) -> float:
    """How much two tellings have in common: twice the events in common order over the events of both.

    An event counts whole where the same take part in it, and 0.3 where others do.
    """
    first = _events_of(reference, language)
    second = told.story.events[told.num_before :]
    if not first or not second:
        return 0.0
    best = [0.0] * (len(second) + 1)
    for one in first:
        previous, best_before = 0.0, list(best)
        for j, other in enumerate(second, 1):
            same = 1.0 if one == other else 0.3 if one[0] == other[0] else 0.0
            best[j] = max(best_before[j], best[j - 1], previous + same)
            previous = best_before[j]
    return 2 * best[-1] / (len(first) + max(len(second), len(told.sentences)))


@lru_cache(maxsize=4096)
def _events_of(text: str, language: Language) -> tuple[tuple[object, ...], ...]:
    return tuple(_Told(text, language).story.events)


# Answers


def _answer(instruction: Instruction, response: str) -> Score:
    text, language = response[:MAX_CHARACTERS].strip(), instruction.language
    sentences = split(text)
    judge: Callable[[Instruction, str], tuple[float, float]]
    judge = {"question": _question, "list": _list, "sum": _sum}[instruction.kind]
    true, grammatical = judge(instruction, sentences[0]) if sentences else (0.0, 0.0)
    count = max(len(sentences), 1) + max(0, len(response) - MAX_CHARACTERS) // 100
    parts = {
        "true": true,
        "grammatical": grammatical,
        "ends": float(text.endswith(_MARKS)) * max(true, grammatical),
        "length": 1.0 / count,  # saying one thing and then another is no answer
        "language": _in_language(text, language),
        "no_repetition": 1.0,
    }
    problems = () if true == 1.0 else (f"not the answer: {text[:200]}",)
    return Score(_weighed(ANSWER_WEIGHTS, parts), parts, (), problems)


def _question(instruction: Instruction, said: str) -> tuple[float, float]:
    """How right an answer is, and how grammatical."""
    if said in instruction.answers:
        return 1.0, 1.0
    language = instruction.language
    words = lexicon(language)
    forms = {words.skeleton(answer).text for answer in instruction.answers}
    known = words.skeleton(said).text in forms or read(said, language) is not None
    grammar = 1.0 if known else UNREADABLE * familiarity(said, language)
    asked = content(instruction.question, language)
    mine = content(said, language) - asked
    near = max(_overlap(content(answer, language) - asked, mine) for answer in instruction.answers)
    return NEAR * near, grammar


def _overlap(right: frozenset[str], said: frozenset[str]) -> float:
    """F1 of two sets of words."""
    return 2 * len(right & said) / (len(right) + len(said)) if right and said else 0.0


def _list(instruction: Instruction, said: str) -> tuple[float, float]:
    """The share of right members, none counted twice, among those asked for or given; whether the form is right."""
    name, number = instruction.question.split(":")
    category = next(category for category in CATEGORIES if category.en == name)
    wanted, english = int(number), instruction.language == "en"
    if english:
        head, comma, conjunction, mark = f"{NUMBERS[wanted]} {category.en}: ", ", ", " and ", "."
        starts = (head[0].upper() + head[1:], f"Here are {head}")
    else:
        head, comma, conjunction, mark = f"{number_word(wanted, 'zh')}{category.zh}：", "、", "和", "。"
        starts = (head, f"这里有{head}")
    start = next((start for start in starts if said.startswith(start)), "")
    body = said[len(start) :].removesuffix(mark)
    given = [piece for part in body.split(comma) for piece in part.split(conjunction)]
    members = {member.en if english else member.zh for member in category.members}
    right = len(members & set(given))
    joined = given[0] if len(given) == 1 else comma.join(given[:-1]) + conjunction + given[-1]
    formed = bool(start) and said == f"{start}{joined}{mark}" and len(given) == wanted
    return right / max(wanted, len(given)), float(formed) if formed else UNREADABLE * bool(start)


def _sum(instruction: Instruction, said: str) -> tuple[float, float]:
    """Whether a sum is right, and its form; the result alone will do."""
    sign = "+" if "+" in instruction.question else "-"
    first, second = map(int, instruction.question.split(sign))
    result = first + second if sign == "+" else first - second
    if instruction.language == "en":
        word = "plus" if sign == "+" else "minus"
        form = rf"(?:{NUMBERS[first]} {word} {NUMBERS[second]} is )?({'|'.join(NUMBERS)})\."
        found = re.fullmatch(form, said[:1].lower() + said[1:])
        numbers: Sequence[str] = NUMBERS
    else:
        word = "加" if sign == "+" else "减"
        form = rf"(?:{NUMBERS_ZH[first]}{word}{NUMBERS_ZH[second]}等于)?({'|'.join(NUMBERS_ZH)})。"
        found = re.fullmatch(form, said)
        numbers = NUMBERS_ZH
    if found is None:
        return 0.0, 0.0
    return float(found.group(1) == numbers[result]), 1.0


def _content_words(language: Language) -> set[str]:
    """The words that make an answer right or wrong."""
    english = language == "en"
    words: set[str] = set(NUMBERS[1:] if english else ()) | set(NOUNS if english else (n.zh for n in NOUNS.values()))
    words |= {noun.plural for noun in NOUNS.values() if noun.plural} if english else set()
    words |= {person.en if english else person.zh for person in PERSONS.values()}
    words |= {quality.en if english else quality.zh for quality in COLOURS + SIZES + AGES}
    for place in PLACES:
        words.add(place.en if english else place.zh)
        words |= {spot.en.split()[-1] if english else spot.zh for spot in place.spots}
    for weather in WEATHERS:
        words |= {weather.en} if english else {weather.zh_clause}
    return words | ({"yes", "no", "not"} if english else {"是的", "不，", "不在", "没有", *"一两三四五六七八九"})


def content(text: str, language: Language) -> frozenset[str]:
    """The words of content in a text: names, nouns, places, colours, numbers, yes and no."""
    pattern = _content_pattern(language)
    return frozenset(pattern.findall(text[:LONGEST].lower() if language == "en" else text[:LONGEST]))


@lru_cache(maxsize=2)
def _content_pattern(language: Language) -> re.Pattern[str]:
    words = sorted((word.lower() for word in _content_words(language)), key=len, reverse=True)
    alternatives = "|".join(map(re.escape, words))
    return re.compile(rf"\b(?:{alternatives})\b" if language == "en" else alternatives)
