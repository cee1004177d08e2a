"""`danlu dpo`: a model learns from rankings without a reward model."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.alignment.tuning_config import DPOConfig
from danlu.cli.model_folder import model_folder
from danlu.cli.parse import continue_folder, parse
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping


@dataclass(frozen=True)
class Arguments:
    """Direct preference optimisation. The same command continues an interrupted run; under torchrun it takes all
    processes."""

    model: tyro.conf.Positional[Path]
    """The folder of a language model to begin from, best one that was taught to chat; or a run folder."""
    data: tuple[Path, ...]
    """Files of rankings or preferences in any format that is known (jsonl, json, parquet)."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    validation: Path | None = None
    """A file of held-out rankings; without it a share of the prompts is held out."""
    dpo: Annotated[DPOConfig, tyro.conf.arg(name="")] = field(default_factory=DPOConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "dpo")
    report = Progress(silent=os.environ.get("RANK", "0") != "0")
    folder, config = model_folder(arguments.model), arguments.dpo

    from danlu.alignment.dpo import run_dpo
    from danlu.alignment.tuning import read_rankings, split

    records = read_rankings(arguments.data, report)
    if arguments.validation:
        heldout = read_rankings((arguments.validation,), report)
    else:
        records, heldout = split(records, config.held_out, "rankings")
    settings = {
        "model": sha256_file(folder / "config.json"),
        "data": [sha256_file(path) for path in arguments.data],
        "dpo": to_mapping(config),
    }
    report(f"writes to {arguments.out}")
    with continue_folder(arguments.out, "dpo", settings), report.indented():
        result = run_dpo(folder, records, heldout, config, arguments.out, report)
    if result.heldout_accuracy is not None:
        report(
            f"held-out pairs: {result.heldout_accuracy:.1%} in order, loss {result.heldout_loss:.4f} (0.6931 before)"
        )
    report(f"wrote {arguments.out / 'model'}")
    report(f"next: danlu chat {arguments.out / 'model'}")
