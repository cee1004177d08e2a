"""`danlu pretrain`: one model of a width and a length, on tokens."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import continue_folder, parse
from danlu.common.duration import Duration, format_count
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.pipeline.budget import format_rate
from danlu.pipeline.recipe import deciding
from danlu.training.config import TrainingConfig


@dataclass(frozen=True)
class Arguments:
    """Train one model. The same command continues an interrupted run; under torchrun it takes all processes."""

    tokens: Path
    """The folder that `danlu tokens` wrote (RUN/tokens)."""
    width: int
    """Width of the residual stream, a multiple of 8; depth and the rest follow from it."""
    horizon: str
    """Length of the run: 10Mtokens, 2epochs, 500steps or 1e13flops."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    training: Annotated[TrainingConfig, tyro.conf.arg(name="")] = field(default_factory=TrainingConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "pretrain")
    report = Progress(silent=os.environ.get("RANK", "0") != "0")

    from danlu.pipeline.pace import training_rate
    from danlu.pipeline.plan import horizon_tokens, model_of_width
    from danlu.pipeline.trainings import train_target
    from danlu.tokens.build import read_tokens_summary

    config, summary = arguments.training, read_tokens_summary(arguments.tokens)
    model = model_of_width(arguments.width, summary.vocab_size, config.context)
    length = horizon_tokens(Duration.parse(arguments.horizon), model, summary, config)
    flops = length * model.flops_per_token(config.context)
    rate = training_rate(model, length, config)
    report(
        f"{format_count(model.num_parameters())} parameters for {format_count(length)} tokens"
        f" ({length / summary.train_tokens:.2g} epochs): {format_count(flops)} FLOPs, about"
        f" {Duration(flops / rate, 'seconds')} at {format_rate(rate)} (measured)"
    )
    report(f"writes to {arguments.out}")
    settings = {
        "tokens": sha256_file(arguments.tokens / "train" / "index.json"),
        "model": model,
        "horizon_tokens": length,
        "training": deciding(config),
    }
    with continue_folder(arguments.out, "pretrain", settings), report.indented():
        result = train_target(model, arguments.tokens, length, config, arguments.out, report)
    report(f"held-out loss {result.loss:.4f} nats a token; wrote {arguments.out / 'model'}")
    report(f"next: danlu generate {arguments.out / 'model'}")
