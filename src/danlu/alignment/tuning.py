"""Where fine-tuning begins: a model folder with its chat template, on its device, and how what comes out is written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from danlu.alignment.texts import Limits
from danlu.alignment.tuning_config import TuningConfig
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.feedback.exchange import read_feedback
from danlu.feedback.records import Demonstration, Ranking, prompt_text
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained, save_pretrained
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.tokens.chat import Chat, load_chat, read_template
from danlu.training.optimizer import Optimizer
from danlu.training.run import Engine, whole_weights
from danlu.training.schedule import Decay

R = TypeVar("R", Demonstration, Ranking)


@dataclass(frozen=True)
class Start:
    """A language model to begin from."""

    folder: Path
    config: ModelConfig
    """Its shape, with the context that it is given now."""
    weights: dict[str, torch.Tensor]
    chat: Chat
    knows_turns: bool
    """Whether it was ever shown the tokens that begin and end a turn: its folder has a chat template."""
    limits: Limits
    engine: Engine

    def language_model(self, compile: str = "off") -> Transformer:
        """It, on its device."""
        model = Transformer(self.config, self.engine.dtype)
        weights = dict(self.weights)
        if self.config.tie_word_embeddings:
            weights.pop("lm_head.weight", None)
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return self.engine.place(model, compile)  # type: ignore[arg-type]

    def score_model(self, seed: int, compile: str = "off") -> ScoreModel:
        """A score model with its decoder and a head drawn anew, on its device."""
        model = ScoreModel(self.config, self.engine.dtype)
        model.initialize_from(
            {name: tensor.float() for name, tensor in self.weights.items()}, torch.Generator().manual_seed(seed)
        )
        model.score.bias.requires_grad_(False)  # rankings say nothing about it, but rounding would move it
        return self.engine.place(model, compile)  # type: ignore[arg-type]

    def save(self, model: Transformer, out: Path) -> None:
        """Write a chat model's folder; every process must ask for it."""
        weights = whole_weights(model)
        if self.engine.world.is_main:
            save_pretrained(
                self.config, weights, self.folder, out, torch.float32, chat=True, template=self.chat.template
            )
        self.engine.world.barrier()


def begin(folder: Path, config: TuningConfig, report: Progress) -> Start:
    """Read what fine-tuning begins from.

    Raises:
        DanluError: the folder is no language model, its template cannot be used, or PAD is the end token.
    """
    model, weights = load_pretrained(folder)
    context = config.context or model.max_position_embeddings
    if context > model.max_position_embeddings:
        report(f"The context grows from {model.max_position_embeddings} to {context} tokens.")
    limits = Limits(context, min(context, config.max_prompt_tokens or context))
    chat = load_chat(folder, config.template)
    knows_turns = config.template != "chatml" and read_template(folder) is not None
    return Start(
        folder,
        replace(model, max_position_embeddings=context),
        weights,
        chat,
        knows_turns,
        limits,
        Engine.choose(config, report),
    )


def optimizer_of(model: Transformer | ScoreModel, config: TuningConfig, knows_turns: bool = True) -> Optimizer:
    """The optimizer that a configuration asks for; see `TuningConfig.rates`."""
    lr, table_lr = config.rates(model.config.hidden_size, knows_turns)
    return Optimizer(model, lr, table_lr, config.weight_decay, model.compute_dtype, matrices=config.optimizer)


def schedule_of(steps: int, config: TuningConfig) -> Decay:
    """Warm-up and cosine."""
    return Decay(steps, "cosine", config.final_lr, warmup=min(config.warmup, steps // 10))


def read_demonstrations(paths: Sequence[Path], report: Progress) -> list[Demonstration]:
    """The demonstrations of some files in any format that is known; says what each held.

    Raises:
        DanluError: a file cannot be read or used.
    """
    found: list[Demonstration] = []
    for path in paths:
        imported = read_feedback(path, "demonstrations")
        report(f"{path}: {imported.summary()}")
        found += imported.demonstrations
    return found


def read_rankings(paths: Sequence[Path], report: Progress) -> list[Ranking]:
    """The rankings of some files in any format that is known; says what each held.

    Raises:
        DanluError: a file cannot be read or used.
    """
    found: list[Ranking] = []
    for path in paths:
        imported = read_feedback(path, "rankings")
        report(f"{path}: {imported.summary()}")
        found += imported.rankings
    return found


def split(records: Sequence[R], share: float, what: str) -> tuple[list[R], list[R]]:
    """Records to learn from and to be judged by: no prompt is on both sides. The share with the lowest hashes stands
    aside, and one prompt at least, so that files that were themselves split by a hash can be split again.

    Raises:
        DanluError: there are fewer than two prompts.
    """
    if not share:
        return list(records), []
    prompts = {prompt_text(record.prompt) for record in records}
    if len(prompts) < 2:
        raise DanluError(
            f"{len(records)} {what} of one prompt cannot be split: {share:.0%} of the prompts are kept for validation.",
            "Give more, a file of held-out ones, or --held-out 0.",
        )
    by_hash = sorted(prompts, key=lambda prompt: hashlib.sha256(f"{what}\n{prompt}".encode()).digest())
    chosen = set(by_hash[: min(len(prompts) - 1, max(1, round(share * len(prompts))))])
    kept = [record for record in records if prompt_text(record.prompt) not in chosen]
    aside = [record for record in records if prompt_text(record.prompt) in chosen]
    return kept, aside
