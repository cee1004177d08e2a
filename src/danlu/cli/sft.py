"""`danlu sft`: a model learns to answer from demonstrations."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.alignment.tuning_config import SFTConfig
from danlu.cli.model_folder import model_folder
from danlu.cli.parse import continue_folder, parse
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping


@dataclass(frozen=True)
class Arguments:
    """Fine-tune a model on demonstrations. The same command continues an interrupted run; under torchrun it takes all
    processes."""

    model: tyro.conf.Positional[Path]
    """A model folder (Qwen3, Qwen2 or Llama), or a run folder."""
    data: tuple[Path, ...]
    """Files of demonstrations in any format that is known (jsonl, json, parquet)."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    validation: Path | None = None
    """A file of held-out demonstrations; without it a share of the prompts is held out."""
    reward: Path | None = None
    """A reward model's folder, for --select reward."""
    pretraining: Path | None = None
    """A tokens folder (RUN/tokens), for --pretraining-share."""
    sft: Annotated[SFTConfig, tyro.conf.arg(name="")] = field(default_factory=SFTConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "sft")
    report = Progress(silent=os.environ.get("RANK", "0") != "0")
    folder, config = model_folder(arguments.model), arguments.sft

    from danlu.alignment.sft import run_sft
    from danlu.alignment.tuning import read_demonstrations, split

    records = read_demonstrations(arguments.data, report)
    if arguments.validation:
        heldout = read_demonstrations((arguments.validation,), report)
    else:
        records, heldout = split(records, config.held_out, "demonstrations")
    settings = {
        "model": sha256_file(folder / "config.json"),
        "data": [sha256_file(path) for path in arguments.data],
        "sft": to_mapping(config),
    }
    report(f"writes to {arguments.out}")
    with continue_folder(arguments.out, "sft", settings), report.indented():
        result = run_sft(
            folder,
            records,
            heldout,
            config,
            arguments.out,
            report,
            reward=arguments.reward and model_folder(arguments.reward),
            pretraining=arguments.pretraining,
        )
    measured = [] if result.heldout_loss is None else [f"held-out loss {result.heldout_loss:.4f} nats a token"]
    measured += [] if result.heldout_reward is None else [f"held-out reward {result.heldout_reward:.3f}"]
    kept = "" if result.best_step in (None, result.steps) else f" (of step {result.best_step} of {result.steps})"
    report(f"{', '.join(measured) or f'training loss {result.loss:.4f}'}{kept}; wrote {arguments.out / 'model'}")
    report(f"next: danlu chat {arguments.out / 'model'}")
