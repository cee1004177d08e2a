"""`danlu best-of-n`: the best of several responses to each prompt, by a reward; rejection sampling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import new_folder, parse
from danlu.common.duration import format_count
from danlu.common.progress import Progress


@dataclass(frozen=True)
class Arguments:
    """Draw n responses to each prompt and keep the best by a reward: the baseline that PPO has to beat, with its exact
    KL, and demonstrations for another SFT (rejection sampling)."""

    model: tyro.conf.Positional[Path]
    """The folder of a model that was taught to answer (danlu sft), or a run folder."""
    prompts: Path
    """A file of prompts (jsonl, json, parquet): a row has prompt, messages, question or instruction."""
    reward: str
    """A reward model's folder, FILE.py:FUNCTION (of prompt, response, answer), or answer: the file's own answers."""
    out: Path
    """The folder to write: best.jsonl, samples.jsonl, result.json."""
    n: int = 4
    """Responses a prompt."""
    max_new_tokens: int = 128
    """Longest response (tokens)."""
    temperature: float = 1.0
    """Divides the logits. The KL is counted from the model at this temperature."""
    seed: int = 0
    """Of the responses."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "best-of-n")
    out, folder, report = new_folder(arguments.out), model_folder(arguments.model), Progress()

    from danlu.alignment.from_rewards import Policy, best_of_n

    policy = Policy.load(folder)
    queries = policy.queries(arguments.prompts, arguments.max_new_tokens, report)
    report(
        f"{arguments.n} responses to each of {len(queries):,} prompts, by a model of"
        f" {format_count(policy.config.num_parameters())} parameters: at most"
        f" {format_count(arguments.n * len(queries) * arguments.max_new_tokens)} tokens"
    )
    report(f"writes to {out}")
    with report.indented():
        result = best_of_n(
            policy,
            queries,
            arguments.reward,
            arguments.n,
            out,
            report,
            max_new_tokens=arguments.max_new_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
            device=arguments.device,
            precision=arguments.precision,
        )
        for point in result.points:
            report(f"best of {point.n}: score {point.proxy:.4f} ± {point.proxy_se:.4f} at a KL of {point.kl:.3f} nats")
    report(f"wrote {out / 'best.jsonl'}: {result.prompts:,} demonstrations, the best of {result.n}")
    report(f"next: danlu sft {arguments.model} --data {out / 'best.jsonl'} --out {out / 'sft'}")
