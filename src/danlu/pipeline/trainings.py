"""The two trainings of a run, the ladder and the target, with everything they need put together."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.common.duration import format_count
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.model.config import ModelConfig
from danlu.scaling.config import LadderConfig
from danlu.training.config import TrainingConfig

if TYPE_CHECKING:
    from danlu.scaling.points import Point
    from danlu.training.pretrain import PretrainResult
    from danlu.training.samples import Sampler


def train_ladder(
    target_flops: float, tokens: Path, training: TrainingConfig, ladder: LadderConfig, out: Path, report: Progress
) -> "list[Point]":
    """Plan a ladder and train it. Called again after an interruption, it continues, by the plan it began with.

    Args:
        tokens: folder that `build_tokens` wrote.
        out: gets plan.json beside what `run_ladder` writes.

    Raises:
        DanluError: the budget or the text is too small; as `pretrain`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    from danlu.evaluation.heldout import heldout_evaluator
    from danlu.hardware.device import choose_device
    from danlu.pipeline.forecasting import read_plan
    from danlu.pipeline.plan import plan_ladder
    from danlu.scaling.executor import choose_executor
    from danlu.scaling.ladder_run import run_ladder

    if (out / "plan.json").exists():
        plan = read_plan(out)
    else:
        plan = plan_ladder(target_flops, tokens, training, ladder)
        write_json(out / "plan.json", to_mapping(plan))
    for warning in plan.warnings:
        report(str(warning))
    report(
        f"{len(plan.rungs)} sizes, {format_count(plan.flops)} FLOPs: {plan.flops / plan.target_flops:.0%} of the"
        f" {format_count(plan.target_flops)} of the target"
    )
    executor = choose_executor(ladder, plan.flops, len(plan.rungs), str(choose_device(training.device)))
    evaluator = partial(heldout_evaluator, tokens, training.context)
    return run_ladder(plan, tokens, training, out, report, evaluator, executor)


def train_target(
    model_config: ModelConfig, tokens: Path, horizon_tokens: int, config: TrainingConfig, out: Path, report: Progress
) -> "PretrainResult":
    """Train a model and write it to `out/model`. Called again after an interruption, it continues.

    Args:
        tokens: folder that `build_tokens` wrote.
        horizon_tokens: length of the run, rounded to whole steps.
        out: gets model/ beside what `pretrain` writes.

    Raises:
        DanluError: as `pretrain`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    from danlu.evaluation.heldout import heldout_evaluator
    from danlu.model.huggingface import save_pretrained
    from danlu.training.distributed import join_world
    from danlu.training.pretrain import pretrain

    evaluate, sample = heldout_evaluator(tokens, config.context), _sampler(tokens, config)
    model, result = pretrain(
        model_config, tokens, horizon_tokens, config, out, report, evaluate=evaluate, sample=sample
    )
    # Every process takes part in gathering the shares; one writes.
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=whole)
    if join_world(torch.device("cpu")).is_main:
        save_pretrained(model_config, weights, tokens / "tokenizer", out / "model", torch.float32)
    return result


def _sampler(tokens: Path, config: TrainingConfig) -> "Sampler | None":
    """What the target writes as it trains: how it goes on from the openings of held-out documents."""
    from danlu.pipeline.judging import openings
    from danlu.tokens.dataset import TokenDataset
    from danlu.tokens.tokenizer import load_tokenizer
    from danlu.training.samples import Sampler

    if config.samples == 0:
        return None
    tokenizer = load_tokenizer(tokens / "tokenizer")
    prompts = openings(TokenDataset(tokens / "heldout"), tokenizer, config.samples)
    return Sampler(tokenizer, prompts, config.context, config.seed)
