"""What the steps of an alignment are given: demonstrations, prompts to rank for, to practise on and to be judged by.

From the toy language, or from a user's files. A folder of JSON lines, so that people can read it and every verb can
work on it alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from danlu.alignment.prompts import Fits, instruction_of, labels_of, make_prompts
from danlu.alignment.prompts_config import PromptsConfig
from danlu.alignment.queries import Query, distinct, read_queries
from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import to_mapping
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.instructions import Instruction, is_held_out
from danlu.feedback.exchange import read_feedback
from danlu.feedback.files import write_rows
from danlu.feedback.records import Demonstration, Prompt, Ranking, fingerprint, prompt_of, prompt_text, to_json

VALIDATION = 0.05
"""Share of the demonstrations on whose loss SFT is judged, by the hash of their prompts."""
_HELD_OUT, _LEAST_HELD_OUT = 0.1, 2
"""Share of a user's own prompts that only evaluations see, and how many at least."""
_FEWEST = 8
"""Different prompts that a user must give."""


@dataclass(frozen=True)
class Material:
    """What the steps are given. No prompt of `held_out` is anywhere else."""

    demonstrations: tuple[Demonstration, ...]
    validation: tuple[Demonstration, ...]
    """Demonstrations for SFT's held-out loss."""
    comparisons: tuple[Query, ...]
    """Prompts whose completions are ranked."""
    ppo: tuple[Query, ...]
    held_out: tuple[Query, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Counts worth keeping."""

    @property
    def instructions(self) -> tuple[Instruction, ...] | None:
        """What the held-out prompts ask for, where all are the toy language's."""
        found = [instruction_of(query.labels, "a held-out prompt") for query in self.held_out]
        known = tuple(one for one in found if one is not None)
        return known if len(known) == len(found) else None


def toy_material(toy: ToyConfig, config: PromptsConfig, fits: Fits) -> Material:
    """Demonstrations of mixed quality and prompts of the toy language.

    Raises:
        DanluError: as `make_prompts`.
    """
    made = make_prompts(toy, config, fits)
    teaching, validation = _validation(made.demonstrations)
    return Material(
        teaching,
        validation,
        _queries(made.comparisons),
        _queries(made.ppo),
        _queries(made.held_out),
        {"too_long": made.too_long, "defects": dict(made.defects)},
    )


def own_material(demonstrations: Path, prompts: Path | None, rankings: Path | None, held_out: int) -> Material:
    """A user's demonstrations, and prompts from a file, or else those of the demonstrations and rankings.

    Args:
        held_out: most prompts that are kept for evaluations.

    Raises:
        DanluError: a file cannot be read or used, or holds too little.
    """
    imported = read_feedback(demonstrations, wanted="demonstrations")
    records = imported.demonstrations
    queries = [Query(record.prompt, labels=record.labels) for record in records]
    if rankings:
        queries += [
            Query(record.prompt, labels=record.labels) for record in read_feedback(rankings, "rankings").rankings
        ]
    if prompts:
        queries += read_queries(prompts)
    every = distinct(queries)
    kept = _held_out(every)
    aside = {query.prompt for query in kept}
    rest = [query for query in every if query.prompt not in aside]
    teaching, validation = _validation([record for record in records if record.prompt not in aside])
    if len(every) < _FEWEST or not teaching:
        raise DanluError(
            f"{demonstrations} holds {len(records)} demonstrations, too few to teach with some and judge by others.",
            f"Give at least {_FEWEST}; a few dozen are better.",
        )
    practise = distinct(read_queries(prompts)) if prompts else rest
    practise = [query for query in practise if query.prompt not in aside]
    return Material(
        teaching,
        validation,
        tuple(practise),
        tuple(practise),
        tuple(kept[:held_out]),
        {"read": imported.summary(), "dropped": dict(imported.dropped)},
    )


def page_material(store: Path, toy: ToyConfig, config: PromptsConfig, fits: Fits) -> Material:
    """What people demonstrated at the annotation page of a run on the toy language, with that language's prompts.

    Raises:
        DanluError: as `make_prompts`; or nothing is demonstrated but prompts that are held out.
    """
    imported = read_feedback(store, wanted="demonstrations")
    made = toy_material(toy, config, fits)
    aside = {query.prompt for query in made.held_out}
    teaching, validation = _validation([record for record in imported.demonstrations if record.prompt not in aside])
    if not teaching:
        raise DanluError(
            f"{store} holds demonstrations of nothing but prompts that are kept for judging.",
            "Write some for other prompts.",
        )
    notes = {"read": imported.summary(), "dropped": dict(imported.dropped), "too_long": made.notes["too_long"]}
    return replace(made, demonstrations=teaching, validation=validation, notes=notes)


def _held_out(queries: Sequence[Query]) -> list[Query]:
    """A share of a user's prompts by their hash, not the toy language's split, whose prompts these may be; where that
    gives too few, those with the smallest hashes."""

    def place(query: Query) -> str:
        return fingerprint(["own", prompt_text(query.prompt)])

    least = sorted(queries, key=place)[:_LEAST_HELD_OUT]
    return [query for query in queries if query in least or int(place(query)[:12], 16) < _HELD_OUT * 16**12]


def without(rankings: Iterable[Ranking], prompts: Iterable[Prompt]) -> list[Ranking]:
    """The rankings of other prompts than these: what is learned from is not judged by."""
    aside = set(prompts)
    return [ranking for ranking in rankings if ranking.prompt not in aside]


def write_material(material: Material, folder: Path) -> None:
    """Write it as JSON lines."""
    write_rows(folder / "sft.jsonl", [to_json(record) for record in material.demonstrations])
    write_rows(folder / "validation.jsonl", [to_json(record) for record in material.validation])
    for name in ("comparisons", "ppo", "held_out"):
        queries: Sequence[Query] = getattr(material, name)
        rows = [{"prompt": to_mapping(query.prompt), "labels": dict(query.labels)} for query in queries]
        write_rows(folder / f"{name}.jsonl", rows)
    counts = {name: len(getattr(material, name)) for name in ("demonstrations", "validation", "comparisons", "ppo")}
    write_json(folder / "summary.json", {**counts, "held_out": len(material.held_out), **material.notes})


def read_material(folder: Path) -> Material:
    """Read it.

    Raises:
        DanluError: a file is missing or damaged.
    """
    validation = folder / "validation.jsonl"
    return Material(
        read_feedback(folder / "sft.jsonl", wanted="demonstrations").demonstrations,
        read_feedback(validation, wanted="demonstrations").demonstrations if validation.stat().st_size else (),
        tuple(read_queries(folder / "comparisons.jsonl")),
        tuple(read_queries(folder / "ppo.jsonl")),
        tuple(read_queries(folder / "held_out.jsonl")),
        read_json(folder / "summary.json"),
    )


def write_rankings(rankings: Iterable[Ranking], path: Path) -> None:
    """Write rankings as JSON lines, with all that is known of them."""
    write_rows(path, [to_json(ranking) for ranking in rankings])


def read_rankings(path: Path) -> list[Ranking]:
    """Read rankings that `write_rankings` wrote; none where the file is empty.

    Raises:
        DanluError: the file is missing or damaged.
    """
    if path.exists() and path.stat().st_size == 0:
        return []
    return list(read_feedback(path, wanted="rankings").rankings)


def _validation(records: Sequence[Demonstration]) -> tuple[tuple[Demonstration, ...], tuple[Demonstration, ...]]:
    """Demonstrations to learn from, and those of other prompts for the held-out loss."""

    def aside(record: Demonstration) -> bool:
        return is_held_out(f"validation\n{prompt_text(record.prompt)}", VALIDATION)

    return (
        tuple(record for record in records if not aside(record)),
        tuple(record for record in records if aside(record)),
    )


def _queries(instructions: Iterable[Instruction]) -> tuple[Query, ...]:
    return tuple(Query(prompt_of(one.prompt), labels=json.loads(json.dumps(labels_of(one)))) for one in instructions)
