"""`danlu grpo`: a model learns from rewards of several responses to each prompt, without a value network."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.alignment.ppo_config import GRPOConfig
from danlu.cli.learning import learning_verb
from danlu.cli.parse import parse


@dataclass(frozen=True)
class Arguments:
    """Group-relative policy optimisation from a programmed reward or a reward model. The same command continues an
    interrupted run; under torchrun it takes all processes."""

    model: tyro.conf.Positional[Path]
    """The folder of a model that was taught to answer (danlu sft), or a run folder. The KL is counted from it."""
    prompts: Path
    """A file of prompts (jsonl, json, parquet): a row has prompt, messages, question or instruction, and perhaps answer
    (gsm8k's files are read as they are)."""
    out: Path
    """The folder to write: model/, metrics.jsonl, checkpoints/, result.json."""
    reward: str = "answer"
    """answer: 1 where the response gives the file's answer, else 0; FILE.py:FUNCTION (of prompt, response, answer); or
    a reward model's folder."""
    grpo: Annotated[GRPOConfig, tyro.conf.arg(name="")] = field(default_factory=GRPOConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "grpo")
    learning_verb(
        "grpo",
        arguments.model,
        arguments.prompts,
        arguments.reward,
        arguments.grpo,
        arguments.out,
        main_process=os.environ.get("RANK", "0") == "0",
    )
