"""`danlu ppo`: a model learns from a reward, as InstructGPT did."""

import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

from danlu.alignment.ppo_config import PRESETS, PPOConfig, Preset
from danlu.cli.learning import learning_verb
from danlu.cli.parse import parse


@dataclass(frozen=True)
class Arguments:
    """Proximal policy optimisation from a reward model or a programmed reward. The same command continues an
    interrupted run; under torchrun it takes all processes."""

    model: tyro.conf.Positional[Path]
    """The folder of a model that was taught to answer (danlu sft), or a run folder. The KL is counted from it."""
    prompts: Path
    """A file of prompts (jsonl, json, parquet): a row has prompt, messages, question or instruction."""
    reward: str
    """A reward model's folder, FILE.py:FUNCTION (of prompt, response, answer), or answer: the file's own answers."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    value: Path | None = None
    """A reward model's folder that the value network begins as; by default the one of --reward."""
    pretraining: Path | None = None
    """A tokens folder (RUN/tokens) to mix in (ptx), so that less of what was learned before is lost."""
    preset: Preset = "instructgpt"
    """Whose settings are taken where no flag says otherwise."""
    ppo: Annotated[PPOConfig, tyro.conf.arg(name="")] = field(default_factory=PPOConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = read(words)
    learning_verb(
        "ppo",
        arguments.model,
        arguments.prompts,
        arguments.reward,
        arguments.ppo,
        arguments.out,
        value=arguments.value,
        pretraining=arguments.pretraining,
        main_process=os.environ.get("RANK", "0") == "0",
    )


def read(words: list[str]) -> Arguments:
    """The verb's words; what no flag says is as the preset has it."""
    pairs = list(pairwise(words))
    named = [name for name in PRESETS if f"--preset={name}" in words or ("--preset", name) in pairs]
    missing: Any = tyro.MISSING
    default = Arguments(missing, missing, missing, missing, ppo=PRESETS[named[-1]] if named else PPOConfig())
    return parse(Arguments, words, "ppo", default)
