import json
import random
from itertools import islice

import pytest

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping
from danlu.corpus.toy.defects import Spoiler, demonstrations
from danlu.corpus.toy.gold import gold
from danlu.corpus.toy.instructions import (
    KIND_SHARES,
    Instruction,
    InstructionConfig,
    examples,
    is_held_out,
    mentions,
    split_examples,
)
from danlu.corpus.toy.wording import NOUNS

CONFIG = InstructionConfig()


def test_an_example_depends_on_its_number_alone() -> None:
    together = list(examples(CONFIG, 0, 60))
    assert list(examples(CONFIG, 41, 5)) == together[41:46]
    assert [e.instruction.index for e in together] == list(range(60))


def test_seeds_differ() -> None:
    first = {e.response for e in examples(CONFIG, 0, 100) if e.instruction.kind == "story"}
    second = {e.response for e in examples(InstructionConfig(seed=1), 0, 100)}
    assert not first & second


def test_every_kind_in_both_languages() -> None:
    seen = {(e.instruction.kind, e.instruction.language) for e in examples(CONFIG, 0, 600)}
    assert seen == {(kind, language) for kind in KIND_SHARES for language in ("en", "zh")}


def test_one_language_alone_has_no_translations() -> None:
    made = list(examples(InstructionConfig(languages=("zh",)), 0, 300))
    assert {e.instruction.language for e in made} == {"zh"}
    assert "translate" not in {e.instruction.kind for e in made}


def test_known_instruction() -> None:
    # A change of this text is a change of the instructions: every set made before becomes another.
    example = next(examples(CONFIG, 2, 1))
    assert example.instruction.prompt == ("Write the first lines of a story about Lily. Use the words flower and ball.")
    assert example.response == (
        "One sunny morning, Lily was in the bedroom. Under the chair there was a black flower and a white ball. "
        "Lily had a small blue lamp and a purple ball. She was holding a small green book and a big mirror."
    )


def test_instructions_survive_json() -> None:
    for example in examples(CONFIG, 0, 200):
        plain = json.loads(json.dumps(to_mapping(example.instruction)))
        assert from_mapping(Instruction, plain, "test") == example.instruction


def test_the_prompt_says_what_is_asked() -> None:
    for example in examples(CONFIG, 0, 400):
        instruction = example.instruction
        assert instruction.given in instruction.prompt
        assert instruction.question in instruction.prompt or instruction.kind in ("list", "sum")
        for constraint in instruction.constraints:
            if constraint.kind == "ends_with":
                assert instruction.prompt.split("\n")[0].endswith(constraint.value)
            if constraint.kind == "word":
                assert mentions(instruction.prompt, NOUNS[constraint.value])


def test_no_prompt_is_on_both_sides() -> None:
    train = {e.instruction.prompt for e in islice(split_examples(CONFIG, "train"), 1500)}
    held_out = {e.instruction.prompt for e in islice(split_examples(CONFIG, "held_out"), 150)}
    assert not train & held_out
    assert all(is_held_out(prompt, CONFIG.held_out) for prompt in held_out)


def test_the_held_out_share_is_as_asked() -> None:
    prompts = {e.instruction.prompt for e in examples(CONFIG, 0, 3000)}
    assert sum(is_held_out(prompt, 0.2) for prompt in prompts) / len(prompts) == pytest.approx(0.2, abs=0.03)


def test_an_empty_side_is_refused_rather_than_searched_for_ever() -> None:
    with pytest.raises(DanluError):
        next(split_examples(InstructionConfig(held_out=0.0), "held_out"))


def test_a_word_is_found_only_whole() -> None:
    assert mentions("There were two balls.", NOUNS["ball"])
    assert mentions("那里有一个球。", NOUNS["ball"])
    assert not mentions("It was a bale.", NOUNS["ball"])
    assert not mentions("She sat on the benches.", NOUNS["bell"])


def test_demonstrations_are_of_the_quality_asked_for() -> None:
    perfect = list(islice(demonstrations(InstructionConfig(good=1.0)), 200))
    assert all(d.defects == () and gold(d.instruction, d.response) == 1.0 for d in perfect)
    mixed = list(islice(demonstrations(InstructionConfig(good=0.3)), 600))
    assert sum(not d.defects for d in mixed) / len(mixed) == pytest.approx(0.3, abs=0.07)
    assert mixed[:50] == list(islice(demonstrations(InstructionConfig(good=0.3)), 50))


def test_more_defects_score_lower() -> None:
    scores: dict[int, list[float]] = {0: [], 2: [], 3: [], 4: []}
    for d in islice(demonstrations(CONFIG), 1200):
        scores[len(d.defects)].append(gold(d.instruction, d.response))
    means = {number: sum(s) / len(s) for number, s in scores.items()}
    assert means[0] == 1.0
    assert means[0] > means[2] + 0.3 > means[3] + 0.3 > means[4] + 0.3


@pytest.mark.parametrize("name", Spoiler(CONFIG).names)
def test_each_defect_is_noticed(name: str) -> None:
    spoiler = Spoiler(CONFIG)
    scores = []
    for i, example in enumerate(examples(CONFIG, 0, 150)):
        response = spoiler.one(name, example, random.Random(i))
        if response is not None:
            scores.append(gold(example.instruction, response))
    assert len(scores) > 50
    # Three kinds may leave a response as good as it was (another colour, another name, a sentence less).
    assert sum(s == 1.0 for s in scores) <= (
        0.5 if name in ("wrong_fact", "wrong_name", "sentence_missing") else 0.1
    ) * len(scores)
    assert sum(scores) / len(scores) < 0.93


@pytest.mark.parametrize("wrong", [{"good": 1.5}, {"held_out": -0.1}, {"languages": ()}, {"seed": -1}])
def test_a_wrong_wish_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DanluError):
        InstructionConfig(**wrong)  # type: ignore[arg-type]
