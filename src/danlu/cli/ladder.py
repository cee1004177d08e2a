"""`danlu ladder`: the small models that a forecast rests on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import continue_folder, parse
from danlu.common.duration import Duration, format_count
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.pipeline.recipe import DEFAULT_BUDGET, deciding
from danlu.scaling.config import LadderConfig
from danlu.training.config import TrainingConfig


@dataclass(frozen=True)
class Arguments:
    """Train a ladder of small models, each to several lengths. The same command continues an interrupted one."""

    tokens: Path
    """The folder that `danlu tokens` wrote (RUN/tokens)."""
    out: Path
    """The folder to write: plan.json, points.jsonl, one folder a rung."""
    budget: str = DEFAULT_BUDGET
    """The target's training compute (1e14flops), or the time of ladder and target together on this machine (10min), or
    both with a comma between: the tighter one counts."""
    ladder: Annotated[LadderConfig, tyro.conf.arg(name="")] = field(default_factory=LadderConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How the models are trained."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "ladder")
    from danlu.pipeline.budget import format_rate, ladder_seconds, parse_budget
    from danlu.pipeline.pace import affordable_flops
    from danlu.pipeline.trainings import train_ladder
    from danlu.tokens.build import read_tokens_summary

    summary = read_tokens_summary(arguments.tokens)  # a plain error where that is no folder of tokens
    report, out, training = Progress(), arguments.out, arguments.training
    settings = {
        "tokens": sha256_file(arguments.tokens / "train" / "index.json"),
        "budget": arguments.budget,
        "ladder": deciding(arguments.ladder),
        "training": deciding(training),
    }
    with continue_folder(out, "ladder", settings):
        ladder = arguments.ladder
        flops, rate = affordable_flops(parse_budget(arguments.budget), ladder, training, summary.vocab_size)
        took = Duration(ladder_seconds(flops, ladder, rate), "seconds")
        report(
            f"at most {format_count(flops * ladder.share)} FLOPs, about {took}: a target of {format_count(flops)} FLOPs"
            f" trains at {format_rate(rate)} here, its rungs at about half of that; writes to {out}"
        )
        with report.indented():
            points = train_ladder(flops, arguments.tokens, training, ladder, out, report)
    report(f"wrote {len(points)} points to {out / 'points.jsonl'}; next: danlu forecast {out}")
