"""The judgement at the end of an alignment: all models answer the held-out prompts; the assistant is published."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from danlu.alignment.road_config import AlignmentConfig
from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping, to_mapping
from danlu.pipeline.aligning import Results, Round, encode_all, instructions_of, reward_of, voice_of
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe

if TYPE_CHECKING:
    from danlu.alignment.outcome import OptimisationCurve, Responses
    from danlu.alignment.queries import Query
    from danlu.tokens.chat import Chat

_BEST_OF = 4
_SAMPLES = 8
"""Answers of the SFT model to each held-out prompt, for the best of 1 to 8."""


def judge(run: RunFolder, config: AlignmentConfig, recipe: Recipe, out: Path, report: Progress) -> Results:
    """Let every model answer the held-out prompts, put them side by side, and publish the assistant's folder."""
    from danlu.alignment.material import read_material
    from danlu.alignment.outcome import RewardOutcome, outcome_lines, outcome_of, write_outcome
    from danlu.feedback.records import prompt_text

    material = read_material(run.demonstrations)
    rounds = [Round(run, number) for number in range(1, recipe.alignment.rounds + 1)]
    learns = recipe.learns_from_rankings
    last = rounds[-1]
    responses, curves, queries = _answers(run, rounds if learns else [], material.held_out, config, recipe, report)
    instructions = None if material.instructions is None else instructions_of(queries)
    judged = read_json(last.reward / "judged.json") if learns else None
    outcome = outcome_of(
        [prompt_text(query.prompt) for query in queries],
        instructions,
        responses,
        from_mapping(RewardOutcome, judged, "judged.json") if judged is not None else None,
        curves,
        seed=config.ppo.seed,
    )
    write_outcome(outcome, out / "outcome.json")
    lines = []
    for this in rounds if learns else []:
        name = "ppo" if this.number == 1 else f"round-{this.number}"
        model = outcome.model(name)
        about = read_json(this.reward / "judged.json")
        lines.append(
            {
                "round": this.number,
                "comparisons": about["comparisons"],
                "gold_agreement": about["gold"],
                "reward": model.reward.value if model.reward else None,
                "gold": to_mapping(model.gold.gold) if model.gold else None,
                "kl": model.kl,
                "tokens": model.tokens,
                "ended": model.ended,
            }
        )
    (out / "rounds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    shutil.copytree(last.ppo / "model" if learns else run.sft / "model", out / "model")
    for line in outcome_lines(outcome):
        report(line)
    best = outcome.models[-1]
    return {
        "gold": best.gold.gold.value if best.gold else None,
        "kl": best.kl,
        "bits_per_byte": best.bits_per_byte,
    }


def _answers(
    run: RunFolder,
    rounds: Sequence[Round],
    held_out: Sequence["Query"],
    config: AlignmentConfig,
    recipe: Recipe,
    report: Progress,
) -> "tuple[list[Responses], list[OptimisationCurve], Sequence[Query]]":
    """What every model answers, and how proxy and gold went along the ways of optimising."""
    from danlu.alignment.assess import best_of, best_of_n_curve, divergence, draw, learning_curve, responses_of
    from danlu.alignment.queries import fitting
    from danlu.pipeline.judging import load_transformer
    from danlu.tokens.chat import load_chat

    device, precision = recipe.training.device, recipe.training.precision
    chat = load_chat(run.sft / "model")
    sft = load_transformer(run.sft / "model", device, precision)
    voice = voice_of(chat, config)
    encoded = fitting(encode_all(held_out, chat), sft.config.max_position_embeddings, voice.max_new_tokens)
    if encoded.too_long:
        report(f"{encoded.too_long:,} held-out prompts leave no room for an answer and are left out")
    queries = encoded.queries
    judge_of_all = reward_of(rounds[-1].reward / "model", chat, recipe) if rounds else None
    responses = [_base_answers(run, queries, config, recipe, chat)]
    curves: list[OptimisationCurve] = []
    first = draw(sft, queries, voice, judge_of_all)
    responses.append(responses_of("sft", first, 0.0, _bits(run, run.sft / "model", recipe)))
    report(f"{len(queries):,} held-out prompts answered by the base and the SFT model")
    if not rounds:
        return responses, curves, queries
    many = draw(sft, queries, replace(voice, seed=voice.seed + 1), judge_of_all, _SAMPLES)
    responses.append(best_of(many, _SAMPLES, _BEST_OF))
    curves.append(best_of_n_curve(many, _SAMPLES, gold_of(queries, many.texts, _SAMPLES)))
    for this in rounds:
        policy = load_transformer(this.ppo / "model", device, precision)
        drawn = draw(policy, queries, voice, judge_of_all)
        name = "ppo" if this.number == 1 else f"round-{this.number}"
        kl = divergence(drawn.rollout, sft)
        responses.append(responses_of(name, drawn, kl, _bits(run, this.ppo / "model", recipe)))
    curves.append(learning_curve(_metrics(rounds[0].ppo / "metrics.jsonl")))
    return responses, curves, queries


def _base_answers(
    run: RunFolder, queries: "Sequence[Query]", config: AlignmentConfig, recipe: Recipe, chat: "Chat"
) -> "Responses":
    """The base model knows no turns: it goes on from the prompt's words on a new line, up to the document's end."""
    from danlu.alignment.outcome import Responses
    from danlu.feedback.records import prompt_text
    from danlu.generation.config import SamplingConfig
    from danlu.generation.load import load_generator

    generator = load_generator(run.model, recipe.training.device, recipe.training.precision)
    context = generator.decoder.config.max_position_embeddings
    tokenizer = generator.tokenizer
    # What does not fit is read from its end on: a base model's answers are shown for comparison alone.
    prompts = [
        tokenizer.encode(prompt_text(query.prompt) + "\n", add_special_tokens=False).ids[-(context * 3 // 4) :]
        for query in queries
    ]
    sampling = SamplingConfig(1.0, 0, 1.0, max_new_tokens=config.ppo.max_new_tokens, seed=config.ppo.seed)
    made = generator.generate(prompts, sampling)
    return Responses(
        "base",
        tuple(one.text for one in made),
        tuple(one.finish_reason == "stop" for one in made),
        tuple(len(one.tokens) for one in made),
        bits_per_byte=_bits(run, run.model, recipe),
    )


def _bits(run: RunFolder, model: Path, recipe: Recipe) -> float:
    """Bits a byte of the base corpus's held-out text, in windows as long as the base model's context."""
    from danlu.evaluation.heldout import evaluate_tokens
    from danlu.pipeline.judging import load_transformer
    from danlu.tokens.dataset import TokenDataset

    transformer = load_transformer(model, recipe.training.device, recipe.training.precision)
    return evaluate_tokens(transformer, TokenDataset(run.tokens / "heldout"), recipe.training.context).bits_per_byte


def gold_of(queries: "Sequence[Query]", texts: Sequence[str], samples: int) -> list[float] | None:
    """Gold scores of so many answers to each query, for reports; None where there is no gold."""
    from danlu.corpus.toy.gold import gold

    if any("instruction" not in query.labels for query in queries):
        return None
    instructions = instructions_of(queries)
    return [gold(instructions[number // samples], text) for number, text in enumerate(texts)]


def _metrics(path: Path) -> list[Mapping[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
