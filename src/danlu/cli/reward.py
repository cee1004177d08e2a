"""`danlu reward`: a reward model learns from rankings."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.alignment.tuning_config import RewardConfig
from danlu.cli.model_folder import model_folder
from danlu.cli.parse import continue_folder, parse
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping


@dataclass(frozen=True)
class Arguments:
    """Train a reward model on rankings or preferences. The same command continues an interrupted run; under torchrun it
    takes all processes."""

    model: tyro.conf.Positional[Path]
    """The folder of a language model to begin from, best one that was taught to chat; or a run folder."""
    data: tuple[Path, ...]
    """Files of rankings or preferences in any format that is known (jsonl, json, parquet)."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    validation: Path | None = None
    """A file of held-out rankings; without it a share of the prompts is held out."""
    demonstrations: Path | None = None
    """A file of demonstrations, whose mean score becomes 0; without it, that of the preferred completions does."""
    reward: Annotated[RewardConfig, tyro.conf.arg(name="")] = field(default_factory=RewardConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "reward")
    report = Progress(silent=os.environ.get("RANK", "0") != "0")
    folder, config = model_folder(arguments.model), arguments.reward

    from danlu.alignment.reward import run_reward
    from danlu.alignment.tuning import read_demonstrations, read_rankings, split

    records = read_rankings(arguments.data, report)
    if arguments.validation:
        heldout = read_rankings((arguments.validation,), report)
    else:
        records, heldout = split(records, config.held_out, "rankings")
    shown = read_demonstrations((arguments.demonstrations,), report) if arguments.demonstrations else []
    settings = {
        "model": sha256_file(folder / "config.json"),
        "data": [sha256_file(path) for path in arguments.data],
        "reward": to_mapping(config),
    }
    report(f"writes to {arguments.out}")
    with continue_folder(arguments.out, "reward", settings), report.indented():
        result = run_reward(folder, records, heldout, shown, config, arguments.out, report)
    if result.heldout:
        found, length = result.heldout.accuracy, result.heldout.length
        report(
            f"right on {found.value:.1%} ({found.low:.1%} to {found.high:.1%}) of {result.heldout.pairs} held-out"
            f" pairs; length alone ({result.heldout.length_rule}) on {length.value:.1%} ({length.low:.1%} to"
            f" {length.high:.1%})"
        )
        if found.low <= length.value:
            report("It is not shown to know more than lengths; more rankings are what helps most.")
    report(f"{result.comparisons} comparisons learned from; wrote {arguments.out / 'model'}")
    report(f"next: danlu ppo {folder} --reward {arguments.out / 'model'}")
