"""How instructions are put into words, in English and in Chinese."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from danlu.corpus.toy.config import Language
from danlu.corpus.toy.world import ANIMALS, BONE, CATEGORIES, COUNTED, FOODS, NUMBERS, NUMBERS_ZH, PEOPLE, THINGS, Noun

if TYPE_CHECKING:
    from danlu.corpus.toy.instructions import Constraint, Instruction

NOUNS: dict[str, Noun] = {
    noun.en: noun for noun in (*THINGS, *FOODS, BONE, *COUNTED, *(animal.noun for animal in ANIMALS))
}
PERSONS = {person.en: person for person in PEOPLE}
_TOPICS: dict[str, tuple[str, str]] = {
    "gift": ("someone gives something to someone", "有人送东西给别人"),
    "play": ("two people play", "两个人一起玩"),
    "rain": ("it begins to rain", "下雨了"),
    "animal": ("an animal comes", "来了一只动物"),
    "search": ("someone cannot find something", "有人找不到东西"),
    "meal": ("someone is hungry", "有人饿了"),
    "feeding": ("someone feeds an animal", "有人喂动物"),
    "numbers": ("someone counts things", "有人数东西"),
}
_WRITE: dict[str, dict[Language, tuple[str, ...]]] = {
    "scene": {
        "en": ("Set the scene for a story", "Write the beginning of a story", "Write the first lines of a story"),
        "zh": ("写一个故事的开头", "请写故事的开头", "为一个故事写个开头"),
    },
    "story": {
        "en": ("Write a story", "Tell a short story", "Please write a story"),
        "zh": ("写一个故事", "讲一个小故事", "请写一个故事"),
    },
    "continue": {
        "en": ("Continue this story", "Tell how this story goes on", "Write the rest of this story"),
        "zh": ("把这个故事写下去", "接着讲这个故事", "写完这个故事"),
    },
}
_TRANSLATE: dict[Language, tuple[str, ...]] = {
    "en": ("Translate into English:", "Say this in English:"),
    "zh": ("翻译成中文：", "用中文说："),
}
_LIST: dict[Language, tuple[str, ...]] = {
    "en": ("Name {n} {what}.", "List {n} {what}."),
    "zh": ("说出{n}{what}。", "列出{n}{what}。"),
}
_SUM: dict[Language, tuple[str, ...]] = {
    "en": ("What is {a} {sign} {b}?", "How much is {a} {sign} {b}?"),
    "zh": ("{a}{sign}{b}等于几？", "{a}{sign}{b}是多少？"),
}


def ask_in_words(instruction: "Instruction", chance: random.Random) -> str:
    """The prompt of an instruction, in the language of its response."""
    language, kind = instruction.language, instruction.kind
    if kind == "question":
        return f"{instruction.given}\n{instruction.question}"
    if kind == "translate":
        return f"{_one(_TRANSLATE[language], chance)}\n{instruction.given}"
    if kind == "list":
        name, number = instruction.question.split(":")
        category = next(category for category in CATEGORIES if category.en == name)
        words = {"n": number_word(int(number), language), "what": category.en if language == "en" else category.zh}
        return _one(_LIST[language], chance).format(**words)
    if kind == "sum":
        sign = "+" if "+" in instruction.question else "-"
        first, second = map(int, instruction.question.split(sign))
        names = ("plus", "加") if sign == "+" else ("minus", "减")
        numbers = NUMBERS if language == "en" else NUMBERS_ZH
        words = {"a": numbers[first], "b": numbers[second], "sign": names[language == "zh"]}
        return _one(_SUM[language], chance).format(**words)
    head = _one(_WRITE[kind][language], chance)
    wishes = _english(head, instruction.constraints) if language == "en" else _chinese(head, instruction.constraints)
    return f"{wishes}\n{instruction.given}" if instruction.given else wishes


def _one(options: Sequence[str], chance: random.Random) -> str:
    return options[int(chance.random() * len(options))]


def number_word(number: int, language: Language) -> str:
    """A number before what it counts; in digits from thirteen on."""
    if language == "zh":
        return "两" if number == 2 else NUMBERS_ZH[number] if number < len(NUMBERS_ZH) else str(number)
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def _values(constraints: "Sequence[Constraint]", kind: str) -> list[str]:
    return [constraint.value for constraint in constraints if constraint.kind == kind]


def _english(head: str, constraints: "Sequence[Constraint]") -> str:
    people = _values(constraints, "person")
    text = head + (f" about {_joined(people, ', ', ' and ')}." if people else ".")
    if nouns := _values(constraints, "word"):
        text += f" Use the word{'s' if len(nouns) > 1 else ''} {_joined(nouns, ', ', ' and ')}."
    for topic in _values(constraints, "topic"):
        text += f" In it {_TOPICS[topic][0]}."
    for number in _values(constraints, "sentences"):
        text += f" Write {number_word(int(number), 'en')} sentence{'' if number == '1' else 's'}."
    if _values(constraints, "present"):
        text += " Use the present tense."
    for sentence in _values(constraints, "ends_with"):
        text += f" End with: {sentence}"
    return text


def _chinese(head: str, constraints: "Sequence[Constraint]") -> str:
    people = [PERSONS[name].zh for name in _values(constraints, "person")]
    text = head + (f"，里面有{_joined(people, '、', '和')}。" if people else "。")
    if nouns := [NOUNS[name].zh for name in _values(constraints, "word")]:
        text += f"要用到{_joined(nouns, '、', '和')}。"
    for topic in _values(constraints, "topic"):
        text += f"故事里{_TOPICS[topic][1]}。"
    for number in _values(constraints, "sentences"):
        text += f"一共写{number_word(int(number), 'zh')}句。"
    for sentence in _values(constraints, "ends_with"):
        text += f"最后一句是：{sentence}"
    return text


def _joined(words: Sequence[str], comma: str, conjunction: str) -> str:
    return words[0] if len(words) == 1 else comma.join(words[:-1]) + conjunction + words[-1]
