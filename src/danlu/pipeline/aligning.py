"""The steps of an alignment, each with everything it needs put together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from danlu.alignment.road_config import AlignmentConfig
from danlu.alignment.tuning_config import TuningConfig
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.corpus.toy.instructions import Instruction
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe

if TYPE_CHECKING:
    from danlu.alignment.assess import Voice
    from danlu.alignment.experience import Reward
    from danlu.alignment.queries import Query
    from danlu.feedback.records import Ranking
    from danlu.tokens.chat import Chat

Results = Mapping[str, Any]
T = TypeVar("T", bound=TuningConfig)
_SHOWN = 256
"""Demonstrations whose mean score becomes the reward model's zero."""


@dataclass(frozen=True)
class Round:
    """Where a round's files lie. The first one's are stages of the road, those of a further one in its own folder."""

    run: RunFolder
    number: int

    @property
    def _root(self) -> Path:
        return self.run.path if self.number == 1 else self.run.round(self.number)

    @property
    def rankings(self) -> Path:
        """Rankings of what the policy before this round says."""
        return self._root / "rankings"

    @property
    def reward(self) -> Path:
        """The reward model of all rankings so far."""
        return self._root / "reward"

    @property
    def ppo(self) -> Path:
        """The policy that comes out."""
        return self._root / "ppo"

    @property
    def before(self) -> "Round | None":
        """The round before."""
        return Round(self.run, self.number - 1) if self.number > 1 else None

    @property
    def start(self) -> Path:
        """The model that this round begins with: SFT's, or the newest policy."""
        return self.before.ppo / "model" if self.before else self.run.sft / "model"

    def all_rankings(self, side: str) -> "list[Ranking]":
        """The rankings of this and all earlier rounds: `train` or `heldout`."""
        from danlu.alignment.material import read_rankings

        earlier = self.before.all_rankings(side) if self.before else []
        return earlier + read_rankings(self.rankings / f"{side}.jsonl")


def fits_the_context(model: Path, context: int, max_new_tokens: int) -> Callable[[str, str], bool]:
    """Whether a prompt leaves room for the longest answer, and a right response is no longer, in a model's tokens."""
    from danlu.tokens.chat import load_chat

    chat = load_chat(model)

    def fits(prompt: str, response: str) -> bool:
        text = chat.text([{"role": "user", "content": prompt}], response)
        return text.start <= context - max_new_tokens and len(text.tokens) - text.start <= max_new_tokens

    return fits


def rank(this: Round, config: AlignmentConfig, recipe: Recipe, out: Path, report: Progress) -> Results:
    """Sample completions from the model that the round begins with and have them ranked; a user's rankings come first.

    Raises:
        DanluError: people have not ranked everything yet.
    """
    from danlu.alignment.labelling import label
    from danlu.alignment.material import read_material, without, write_rankings
    from danlu.alignment.rank import ranking_tasks, split_rankings, together
    from danlu.feedback.agreement import agreement
    from danlu.feedback.exchange import read_feedback

    material = read_material(this.run.demonstrations)
    rankings: list[Ranking] = []
    if config.rankings and this.number == 1:
        imported = read_feedback(Path(config.rankings), wanted="rankings")
        report(imported.summary())
        rankings += without(imported.rankings, [query.prompt for query in material.held_out])
    if recipe.label != "none":
        queries = material.comparisons
        if recipe.label == "page" and len(queries) > config.page_prompts:
            report(f"people are asked about {config.page_prompts:,} of {len(queries):,} prompts (--page-prompts)")
            queries = queries[: config.page_prompts]
        drawn = _draw(this.start, queries, config, recipe, config.completions, this.number)
        opinions = config.opinions or (min(3, config.labeller.annotators) if recipe.label == "simulated" else 1)
        tasks = ranking_tasks(*drawn, config.completions, config.overlap, f"round {this.number}", opinions)
        words = f"by {recipe.label}" + (f" ({opinions} labellers each)" if opinions > 1 else "")
        report(f"{len(tasks):,} prompts with {config.completions} completions each, to be ranked {words}")
        made = label(tasks, recipe.label, config.labeller, this.run.feedback, this.run.path)
        given = {(each.prompt, each.completions, each.annotator, each.time) for each in rankings}
        rankings += [each for each in made if (each.prompt, each.completions, each.annotator, each.time) not in given]
    train, heldout = split_rankings(rankings, config.held_out_rankings)
    if not train or not heldout:
        raise DanluError(
            f"there are {len(rankings)} rankings, too few to learn from some and judge by others.",
            "Give or make more of them.",
        )
    write_rankings(train, out / "train.jsonl")
    write_rankings(heldout, out / "heldout.jsonl")
    comparisons = sum(1 for ranking in together(train) for _ in ranking.pairs())
    found = agreement(rankings).untied_pairs
    agree = to_mapping(found) if all(math.isfinite(x) for x in (found.value, found.low, found.high)) else None
    summary = {"rankings": len(rankings), "comparisons": comparisons, "agreement": agree}
    write_json(out / "summary.json", summary)
    words = f"{len(rankings):,} rankings, {comparisons:,} comparisons to learn from"
    if agree:
        words += f"; two labellers agree on {found.value:.0%} of the pairs that neither calls equal"
    report(words)
    return {"rankings": len(rankings), "comparisons": comparisons}


def fine_tune(run: RunFolder, config: AlignmentConfig, recipe: Recipe, out: Path, report: Progress) -> Results:
    """Step 1, from the base model on demonstrations that `write_material` wrote; resumable."""
    from danlu.alignment.material import read_material
    from danlu.alignment.sft import run_sft

    material = read_material(run.demonstrations)
    sft = _on_this_machine(replace(config.sft, context=config.context), recipe)
    mixed = run.tokens if sft.pretraining_share else None
    result = run_sft(run.model, material.demonstrations, material.validation, sft, out, report, pretraining=mixed)
    return {"demonstrations": result.demonstrations, "heldout_loss": result.heldout_loss, "tokens": result.tokens}


def learn_reward(this: Round, config: AlignmentConfig, recipe: Recipe, out: Path, report: Progress) -> Results:
    """Step 2, from the SFT model and all rankings so far; resumable. Writes judged.json: how far it is right."""
    from danlu.alignment.material import read_material
    from danlu.alignment.rank import judge_reward_model, reward_lines, together
    from danlu.alignment.reward import run_reward
    from danlu.alignment.reward_scorer import RewardScorer

    rankings, heldout = (together(this.all_rankings(side)) for side in ("train", "heldout"))
    shown = read_material(this.run.demonstrations).demonstrations[:_SHOWN]
    reward = replace(_on_this_machine(config.reward, recipe), epochs=config.reward.passes(len(rankings)))
    run_reward(this.run.sft / "model", rankings, heldout, shown, reward, out, report)
    scorer = RewardScorer.load(out / "model", recipe.training.device, recipe.training.precision)
    judged = judge_reward_model(rankings, heldout, scorer, config.labeller.tie_band, len(scorer.models))
    write_json(out / "judged.json", to_mapping(judged))
    for line in reward_lines(judged):
        report(line)
    return {"comparisons": judged.comparisons, "gold": judged.gold.value if judged.gold else None}


def practise(this: Round, config: AlignmentConfig, recipe: Recipe, out: Path, report: Progress) -> Results:
    """PPO from the round's reward model; resumable. The KL is counted from the model that the round begins with."""
    import torch

    from danlu.alignment.learner import Mix
    from danlu.alignment.learning import Begin, Weights, learn
    from danlu.alignment.material import read_material
    from danlu.alignment.queries import fitting
    from danlu.model.huggingface import load_pretrained, save_pretrained
    from danlu.tokens.chat import load_chat
    from danlu.tokens.dataset import TokenDataset
    from danlu.tokens.loader import Loader

    ppo = replace(config.ppo, device=recipe.training.device, precision=recipe.training.precision)
    chat, material = load_chat(this.start), read_material(this.run.demonstrations)
    model, weights = load_pretrained(this.start)
    encoded = fitting(encode_all(material.ppo, chat), model.max_position_embeddings, ppo.max_new_tokens)
    if encoded.too_long:
        report(f"{encoded.too_long:,} prompts leave no room for {ppo.max_new_tokens} new tokens and are left out")
    context = min(recipe.training.context, model.max_position_embeddings)
    loader = Loader(TokenDataset(this.run.tokens / "train"), context, ppo.seed)
    policy, result = learn(
        ppo,
        Begin(Weights(model, weights), value_network(this.reward / "model"), (chat.end,), chat.pad),
        encoded.queries,
        reward_of(this.reward / "model", chat, recipe),
        out,
        report,
        gold=gold_judge(chat) if material.instructions is not None else None,
        mix=Mix(loader, ppo.ptx_sequences, context) if ppo.ptx_coef else None,
    )
    save_pretrained(model, policy, this.start, out / "model", torch.float32, chat=True)
    return {"kl": result.kl, "score": result.score, "episodes": result.episodes, "stopped_by": result.stopped_by}


def _draw(
    model: Path, queries: "Sequence[Query]", config: AlignmentConfig, recipe: Recipe, samples: int, number: int
) -> "tuple[Sequence[Query], Sequence[str]]":
    """The queries that leave room for an answer, and so many answers to each."""
    from danlu.alignment.assess import draw
    from danlu.alignment.queries import fitting
    from danlu.pipeline.judging import load_transformer
    from danlu.tokens.chat import load_chat

    chat = load_chat(model)
    policy = load_transformer(model, recipe.training.device, recipe.training.precision)
    voice = replace(voice_of(chat, config), seed=config.ppo.seed + 1000 * number)
    encoded = fitting(encode_all(queries, chat), policy.config.max_position_embeddings, voice.max_new_tokens)
    return encoded.queries, draw(policy, encoded.queries, voice, None, samples).texts


def voice_of(chat: "Chat", config: AlignmentConfig) -> "Voice":
    """How a model's answers are drawn: as PPO draws them."""
    from danlu.alignment.assess import Voice

    ppo = config.ppo
    return Voice(
        (chat.end,),
        chat.pad,
        chat.decode,
        ppo.max_new_tokens,
        ppo.seed,
        ppo.temperature,
        ppo.missing_eos_score,
        ppo.rollout_batch_size,
    )


def encode_all(queries: "Sequence[Query]", chat: "Chat") -> "list[Query]":
    """The queries with their tokens."""
    return [replace(query, tokens=tuple(chat.prompt(to_mapping(query.prompt)))) for query in queries]


def instructions_of(queries: "Sequence[Query]") -> list[Instruction]:
    """What the queries ask for, where they are the toy language's."""
    from danlu.alignment.prompts import instruction_of

    found = [instruction_of(query.labels, "a held-out prompt") for query in queries]
    return [one for one in found if one is not None]


def reward_of(model: Path, chat: "Chat", recipe: Recipe) -> "Reward":
    """A reward model as what scores the policy's answers; it reads their texts, in its own tokens."""
    import torch

    from danlu.alignment.reward_scorer import RewardScorer

    scorer = RewardScorer.load(model, recipe.training.device, recipe.training.precision)

    def reward(queries: "Sequence[Query]", responses: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(scorer([query.prompt for query in queries], [chat.decode(one) for one in responses]))

    return reward


def value_network(reward: Path) -> Any:
    """The reward model's weights, which PPO's value network begins as."""
    from danlu.alignment.learning import Weights
    from danlu.model.score import load_score_model

    model = load_score_model(reward)
    return Weights(model.config, model.state_dict())


def gold_judge(chat: "Chat") -> Any:
    """The gold score of what PPO draws, to be shown along the run. Nothing is learned from it."""
    import torch

    from danlu.corpus.toy.gold import gold

    def judge_by_gold(queries: "Sequence[Query]", responses: Sequence[Sequence[int]]) -> torch.Tensor:
        texts = [chat.decode(response) for response in responses]
        return torch.tensor([gold(i, text) for i, text in zip(instructions_of(queries), texts, strict=True)])

    return judge_by_gold


def _on_this_machine(config: T, recipe: Recipe) -> T:
    """A step's settings with the device, arithmetic and checkpoints of the run's trainings."""
    training = recipe.training
    return replace(
        config,
        device=training.device,
        precision=training.precision,
        compile=training.compile,
        checkpoint_seconds=training.checkpoint_seconds,
        keep_checkpoints=training.keep_checkpoints,
    )
