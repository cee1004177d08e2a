"""The toy language's prompts, and which step of alignment each is for: a function of its words, so that none is in two.

InstructGPT splits its prompts so that no user is on both sides (Ouyang et al. 2022, arXiv 2203.02155, appendix A); here
the words themselves decide, by their hash.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from danlu.alignment.prompts_config import PARTS, Part, PromptsConfig
from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping
from danlu.corpus.toy.config import Language, ToyConfig
from danlu.corpus.toy.defects import Spoiler
from danlu.corpus.toy.instructions import Example, Instruction, InstructionConfig, Maker
from danlu.feedback.records import Demonstration, prompt_of

Fits = Callable[[str, str], bool]
"""Whether a prompt with a perfect response to it has room in the model's context."""
_PATIENCE = 2000
"""Instructions in a row that are of no use, after which the stream counts as exhausted."""
_MOST_LOOKED_AT = 20_000
"""Instructions after which nobody waits for more prompts to demonstrate."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run by part; none is in two, and none twice in one but among the demonstrations."""

    held_out: tuple[Instruction, ...]
    demonstrations: tuple[Demonstration, ...]
    comparisons: tuple[Instruction, ...]
    ppo: tuple[Instruction, ...]
    too_long: int = 0
    """Left out because prompt and response have no room in the context."""
    defects: Mapping[str, int] = field(default_factory=dict)
    """How many demonstrations have each defect; those without are perfect."""


def part_of(prompt: str, config: PromptsConfig) -> Part:
    """Which step a prompt is for: by its hash, in proportion to the numbers wanted."""
    place = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") * config.total
    for part in PARTS:
        place -= getattr(config, part) << 64
        if place < 0:
            return part
    raise AssertionError("a hash below one lies in some part")


def instruction_config(toy: ToyConfig, config: PromptsConfig) -> InstructionConfig:
    """The instructions in the language of a corpus. Their stream lies far from every corpus's own."""
    return InstructionConfig(
        seed=toy.seed,
        entropy=toy.entropy,
        languages=toy.languages,
        chinese=toy.chinese,
        held_out=config.held_out / config.total,  # `is_held_out` then says what `part_of` does
        good=config.good,
    )


def make_prompts(toy: ToyConfig, config: PromptsConfig, fits: Fits = lambda prompt, response: True) -> Prompts:
    """Walk the stream of instructions until every part is full; a function of the arguments alone.

    Raises:
        DanluError: the language has not so many different prompts of these kinds (sums are few), or few of them fit.
    """
    settings = instruction_config(toy, config)
    spoiler = Spoiler(settings)
    taken: dict[Part, list[Example]] = {part: [] for part in PARTS}
    seen: set[str] = set()
    too_long = useless = 0
    in_language: Counter[tuple[Part, Language]] = Counter()

    def full(part: Part, language: Language) -> bool:
        wanted: int = getattr(config, part)
        languages = len(toy.languages) if config.even_languages and part in ("comparisons", "ppo") else 1
        return len(taken[part]) == wanted or in_language[part, language] >= -(-wanted // languages)

    for example in _stream(Maker(settings)):
        prompt = example.instruction.prompt
        useless += 1
        part = part_of(prompt, config)
        again = prompt in seen and part != "demonstrations"
        if useless > _PATIENCE:
            break
        if again or full(part, example.instruction.language) or example.instruction.kind not in config.kinds:
            continue
        if not fits(prompt, example.response):
            too_long += 1
            continue
        useless = 0
        seen.add(prompt)
        taken[part].append(example)
        in_language[part, example.instruction.language] += 1
        if all(len(taken[other]) == getattr(config, other) for other in PARTS):
            break
    short = next((part for part in PARTS if len(taken[part]) < getattr(config, part)), None)
    if short is not None:
        raise DanluError(
            f"the toy language gives {len(taken[short])} different prompts for {short} ({too_long} were too long for"
            f" the context), and {getattr(config, short)} are wanted.",
            "Ask for fewer, for other kinds, or for a longer alignment.context"
            + (", or turn even_languages off." if len(settings.languages) > 1 and config.even_languages else "."),
        )
    spoilt = [spoiler.demonstration(example) for example in taken["demonstrations"]]
    defects: dict[str, int] = {}
    for name in (name for one in spoilt for name in one.defects):
        defects[name] = defects.get(name, 0) + 1
    return Prompts(
        held_out=_instructions(taken["held_out"]),
        demonstrations=tuple(
            Demonstration(
                prompt_of(one.instruction.prompt),
                one.response,
                source="toy language",
                labels={**labels_of(one.instruction), "defects": list(one.defects)},
            )
            for one in spoilt
        ),
        comparisons=_instructions(taken["comparisons"]),
        ppo=_instructions(taken["ppo"]),
        too_long=too_long,
        defects=dict(sorted(defects.items())),
    )


def demonstrated_prompts(toy: ToyConfig, config: PromptsConfig, fits: Fits) -> Iterator[str]:
    """The prompts for demonstrations, each once, in the order in which `make_prompts` walks over them."""
    seen: set[str] = set()
    for example in islice(_stream(Maker(instruction_config(toy, config))), _MOST_LOOKED_AT):
        prompt, kind = example.instruction.prompt, example.instruction.kind
        if prompt not in seen and kind in config.kinds and part_of(prompt, config) == "demonstrations":
            seen.add(prompt)
            if fits(prompt, example.response):
                yield prompt


def labels_of(instruction: Instruction) -> dict[str, Any]:
    """An instruction as what a record carries along, for the gold score."""
    return {"instruction": to_mapping(instruction)}


def instruction_of(labels: Mapping[str, Any], where: str) -> Instruction | None:
    """The instruction that a record carries; None where it carries none."""
    plain = labels.get("instruction")
    return None if plain is None else from_mapping(Instruction, plain, where)


def _stream(maker: Maker) -> Iterator[Example]:
    for index in count():
        yield maker.example(index)


def _instructions(examples: Sequence[Example]) -> tuple[Instruction, ...]:
    return tuple(example.instruction for example in examples)
