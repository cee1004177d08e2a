"""The gold score: the language's own texts are perfect, each kind of fault costs, and any string has a score."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.corpus.toy.config import Language, ToyConfig
from danlu.corpus.toy.gold import gold, score
from danlu.corpus.toy.instructions import Constraint, Example, Instruction, InstructionConfig, examples
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.sentences import familiarity, read, split
from danlu.corpus.toy.truth import Story

EXAMPLES = list(examples(InstructionConfig(), 0, 1500))


def problems(text: str, language: Language = "en") -> list[list[str]]:
    """What each sentence of a story contradicts."""
    story, found = Story(), []
    for paragraph in text.split("\n"):
        story.new_paragraph()
        for sentence in split(paragraph):
            reading = read(sentence, language)
            found.append(["unread"] if reading is None else list(story.tell(reading)))
    return found


@pytest.mark.parametrize("entropy", [0.0, 0.5, 1.0])
def test_all_that_the_language_tells_is_read_and_true(entropy: float) -> None:
    for document in documents(ToyConfig(entropy=entropy, questions=0.0, seed=3), 0, 700):
        if document.labels["kind"] == "story":
            language = document.labels["language"]
            assert not any(problems(document.text, language)), document.text  # type: ignore[arg-type]
            assert len(split(document.text)) == document.labels["sentences"]


@pytest.mark.parametrize("entropy", [0.0, 0.5, 1.0])
def test_perfect_responses_score_one(entropy: float) -> None:
    for example in examples(InstructionConfig(entropy=entropy, seed=7), 0, 700):
        found = score(example.instruction, example.response)
        assert found.value == 1.0, (example, found)
        assert not found.problems


SCENE = "It was a sunny morning. Mia was in the kitchen. Tom was in the garden. Mia had a red ball and an apple.\n"


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("Mia gave the red ball to Tom.", "apart"),
        ("Tom kicked the ball.", "not held"),
        ("Lily was tired.", "stranger"),
        ("Mia put on the ball.", "unread"),
        ("Mia wore the ball.", "use"),
        ("Mia took the hat.", "unknown thing"),
        ("Mia went to the kitchen.", "there already"),
        ("Mia put the ball on the bench.", "elsewhere"),
        ("Now Mia had three shells.", "unknown thing"),
        ("The dog was hungry.", "unknown animal"),
        ("The sun came out.", "weather"),
        ("Mia watered the roses.", "elsewhere"),
        ('"Yes, here you are," said Mia.', "not asked"),
        ("Tom caught the ball.", "not thrown"),
        ("Mia ate the ball.", "sort"),
        ("Mia gave the ball to Mia.", "self"),
        ("In the morning, Mia was tired.", "time"),
        ("It was a sunny morning.", "opened again"),
        ("She was tired.", "pronoun"),
        ("mia was tired.", "unread"),
        ("Mia was tired", "unread"),
        ("Mia tired was.", "unread"),
        ("Then Mia is at the end.", "unread"),
    ],
)
def test_what_contradicts_the_story(sentence: str, problem: str) -> None:
    if problem == "use":
        sentence = "Mia flew the ball."
    if sentence == "Mia put on the ball.":
        problem = "use"  # a sentence of the language, but a ball is not put on
    assert problem in problems(SCENE + sentence)[-1]


@pytest.mark.parametrize(
    "sentences",
    [
        "Mia went to the garden. She gave the ball to Tom. Tom kicked the ball.",
        "Mia ate the apple. She was not hungry any more.",
        "Tom went to the kitchen. Mia was there too. Tom liked Mia's ball.",
        "It began to rain. Tom ran to the library. The sun came out. Tom went to the park.",
        'Tom went to the kitchen. He asked Mia, "Can I have the ball?" "Yes, here you are," said Mia. Tom kicked it.',
    ],
)
def test_what_follows_from_the_story(sentences: str) -> None:
    found = problems(SCENE + sentences)
    assert not any(found), found


def test_what_is_gone_stays_gone() -> None:
    assert "gone" in problems(SCENE + "Mia ate the apple. Mia took the apple.")[-1]


def test_numbers_must_add_up() -> None:
    scene = "It was a sunny morning. Mia was in the kitchen. Tom was there too. Mia had five shells.\n"
    gave = "Mia gave Tom two shells. "
    assert problems(scene + gave + "Now Mia had three shells and Tom had two shells.")[-1] == []
    assert "number" in problems(scene + gave + "Now Mia had four shells and Tom had two shells.")[-1]
    assert "number" in problems(scene + "Mia gave Tom six shells.")[-1]


def test_in_the_rain_nobody_goes_out() -> None:
    rainy = "One rainy morning, Mia was in the kitchen.\n"
    assert problems(rainy + "Mia went to the park.")[-1] == ["weather"]
    assert problems(rainy + "Mia went to the library.")[-1] == []


def test_facts_of_the_world() -> None:
    assert "taste" in problems("One sunny morning, Mia was in the shop. Mia bought a cake.")[-1]
    assert problems("One sunny morning, Mia was in the shop. Mia bought an apple.")[-1] == []
    dog = "One sunny morning, Mia was in the park. Mia had a carrot. A black dog came to the park. "
    assert "taste" in problems(dog + "Mia gave the carrot to the dog.")[-1]


def test_one_mistake_counts_once() -> None:
    found = problems(SCENE + "Lily was tired. Lily sat down for a while. Lily was sad.")
    assert [bool(p) for p in found[-3:]] == [True, False, False]


def test_the_same_in_chinese() -> None:
    scene = "一个晴朗的早上，米娅在厨房里。汤姆在花园里。米娅有一个红色的球。"
    assert problems(scene + "米娅把球给了汤姆。", "zh")[-1] == ["apart"]
    assert problems(scene + "米娅去了花园。她把球给了汤姆。", "zh")[-1] == []
    assert problems(scene + "球米娅踢了踢。", "zh")[-1] == ["unread"]


def _of(kind: str, **wanted: object) -> Example:
    return next(
        e for e in EXAMPLES
        if e.instruction.kind == kind and all(getattr(e.instruction, name) == value for name, value in wanted.items())
    )  # fmt: skip


def test_partial_failure_is_graded_by_the_sentence() -> None:
    example = _of("story", language="en")
    sentences = split(example.response)
    scores = []
    for spoilt in range(len(sentences) + 1):
        words = ["Xyzzy plugh." for _ in sentences[:spoilt]] + sentences[spoilt:]
        scores.append(gold(example.instruction, " ".join(words)))
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > len(sentences) / 2
    assert scores[0] > 0.8
    assert 0.3 < scores[len(sentences) // 2] < 0.9


def test_a_nearly_right_sentence_is_worth_more_than_noise() -> None:
    right, near, noise = "Mia gave the ball to Tom.", "Mia gave ball to Tom.", "Vex flobs quint zorp."
    assert read(right, "en") is not None
    assert 1.0 > familiarity(near, "en") > 0.5 > familiarity(noise, "en")


def test_a_longer_and_longer_beginning_scores_more_and_more() -> None:
    for example in EXAMPLES[:200]:
        if example.instruction.kind in ("story", "continue"):
            pieces = split(example.response)
            gap = " " if example.instruction.language == "en" else ""
            scores = [gold(example.instruction, gap.join(pieces[: i + 1])) for i in range(len(pieces))]
            if len(scores) > 5:
                assert scores[-1] == 1.0
                assert scores[-1] > scores[len(scores) // 2] > scores[0]
                assert scores[0] < (0.4 if example.instruction.kind == "story" else 0.7)


def test_random_damage_lowers_the_score_step_by_step() -> None:
    chance = random.Random(4)
    means = []
    for share in (0.0, 0.02, 0.05, 0.1, 0.3, 0.9):
        scores = []
        for example in EXAMPLES[:250]:
            letters = [chance.choice("aeiou的 .") if chance.random() < share else c for c in example.response]
            scores.append(gold(example.instruction, "".join(letters)))
        means.append(sum(scores) / len(scores))
    assert means[0] == 1.0
    assert all(a > b + 0.02 for a, b in pairwise(means))
    assert means[-1] < 0.1


def test_every_constraint_counts() -> None:
    seen = set()
    for example in EXAMPLES:
        for constraint in example.instruction.constraints:
            alone = replace(example.instruction, constraints=(constraint,))
            free = replace(example.instruction, constraints=())
            for other in EXAMPLES[:100] if constraint.kind not in seen else ():
                if (other.instruction.kind, other.instruction.language) != (free.kind, free.language):
                    continue
                if score(alone, other.response).constraints[0] < 1.0:
                    assert gold(alone, other.response) < gold(free, other.response)
                    assert gold(alone, example.response) == 1.0
                    seen.add(constraint.kind)
    assert seen == {"sentences", "person", "word", "ends_with", "present", "topic"}


def test_the_wrong_language_scores_nothing_much() -> None:
    for example in EXAMPLES[:300]:
        if example.instruction.kind == "translate":
            assert gold(example.instruction, example.response) == 1.0
            assert gold(example.instruction, example.instruction.given) < 0.1


def test_repetition_costs() -> None:
    example = _of("story", language="en")
    first = split(example.response)[0]
    loop = " ".join([first] * len(split(example.response)))
    assert score(example.instruction, loop).parts["no_repetition"] < 0.5
    assert gold(example.instruction, loop) < 0.3


def test_an_unfinished_text_does_not_end() -> None:
    example = _of("story")
    assert score(example.instruction, example.response[:-3]).parts["ends"] == 0.0


# Answers


def _question() -> Instruction:
    return Instruction(
        "", "question", "en", question="Where was Mia at the end?",
        answers=("Mia was in the garden.", "She was in the garden."),
    )  # fmt: skip


def test_answers() -> None:
    question = _question()
    assert gold(question, "Mia was in the garden.") == gold(question, " She was in the garden.\n") == 1.0
    wrong, rambling = gold(question, "Mia was in the park."), gold(question, "Mia was in the garden. Mia was tired.")
    assert 0.1 < wrong < 0.3
    assert wrong < rambling < 0.6
    assert wrong < gold(question, "in garden Mia") < 1.0
    assert gold(question, "Mia was in the garden") < 1.0
    assert gold(question, "米娅在花园里。") == 0.0


def test_a_list_is_right_by_its_members() -> None:
    instruction = Instruction("", "list", "en", question="animals:3")
    assert gold(instruction, "Three animals: a dog, a cat and a horse.") == 1.0
    assert gold(instruction, "Here are three animals: a dog, a cat and a horse.") == 1.0
    two = gold(instruction, "Three animals: a dog, a cat and a lamp.")
    twice = gold(instruction, "Three animals: a dog, a dog and a cat.")
    assert 0.5 < twice == two < 0.9
    assert gold(instruction, "Three animals: a dog and a cat.") < 0.8
    assert gold(Instruction("", "list", "zh", question="animals:2"), "两种动物：狗和猫。") == 1.0


def test_a_sum_is_right_or_wrong() -> None:
    instruction = Instruction("", "sum", "en", question="3+4")
    assert gold(instruction, "Three plus four is seven.") == gold(instruction, "Seven.") == 1.0
    assert gold(instruction, "Three plus four is eight.") < 0.3
    assert gold(Instruction("", "sum", "zh", question="9-4"), "九减四等于五。") == 1.0


def test_a_translation_is_judged_by_what_it_tells() -> None:
    example = _of("translate", language="en")
    others = [e for e in EXAMPLES if e.instruction.kind == "translate" and e.instruction.language == "en"]
    scores = [score(example.instruction, other.response).parts["obeys"] for other in others]
    assert scores[others.index(example)] == 1.0
    assert sum(s == 1.0 for s in scores) == 1
    assert 0.0 < sum(scores) / len(scores) < 0.6


# Any string


@given(st.text(), st.integers(0, 200))
def test_any_string_has_a_score(text: str, number: int) -> None:
    found = score(EXAMPLES[number].instruction, text)
    assert 0.0 <= found.value <= 1.0
    assert all(0.0 <= part <= 1.0 for part in found.parts.values()), found
    assert found == score(EXAMPLES[number].instruction, text)


HEAP = ["Mia", "the ball", "gave", ".", " ", "\n", "她", "球", "。", '"', "said", "it", "In the evening, ", "一个"]
HEAP += ["three shells", "\ue050", "and", ", ", "went to", "the garden", "a dog", "“", "Then "]


@given(st.lists(st.sampled_from(HEAP), max_size=60), st.integers(0, 200))
def test_any_heap_of_the_languages_words_has_a_score(words: list[str], number: int) -> None:
    found = score(EXAMPLES[number].instruction, "".join(words))
    assert 0.0 <= found.value <= 1.0
    assert all(0.0 <= part <= 1.0 for part in found.parts.values()), found


@pytest.mark.parametrize("text", ["", " ", "\n\n", "。。。", "...", '"', "\ue050\ue041", "\x00"])
def test_nothing_scores_nothing(text: str) -> None:
    for example in EXAMPLES[:50]:
        assert gold(example.instruction, text) == 0.0


def test_a_megabyte_is_no_trouble() -> None:
    example = _of("story", language="en")
    for text in ("Mia " * 250_000, "A, " * 350_000, example.response * 3000, "She smiled. " * 90_000):
        assert gold(example.instruction, text) < 0.2


def test_a_constraint_of_a_kind() -> None:
    instruction = Instruction("", "scene", "en", (Constraint("sentences", "3"), Constraint("person", "Tom")))
    scene = "Tom was at the market one warm morning. Leo was in the library. He had a green ball and a red book."
    found = score(instruction, scene)
    assert found.constraints == (1.0, 1.0)
    assert score(instruction, scene.replace("Tom", "Max")).constraints == (1.0, 0.0)
    assert score(instruction, scene + " Leo was tired.").constraints[0] == pytest.approx(2 / 3)
