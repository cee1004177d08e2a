"""What one accelerator gives: training, generation and agreement, beside its own measured peaks.

    python benchmarks/gpu.py [--json FILE] [--quick]

Runs from a checkout without installation (it puts src/ on the path) with torch 2.11 or newer, numpy, scipy, tokenizers,
safetensors and rich alone. Training: 124M and 1B parameters, blocks compiled and eager, tokens/s, share of the measured
bf16 matrix-product peak (model FLOPs, attention counted as the whole square), most memory held. Generation: tokens/s
against the floor of reading every weight once a step. Alignment: PPO's episodes/s with four models of that size, where
an iteration's time goes, sampling against the same floor and learning against the peak; the reward model's tokens/s.
Agreement: loss and gradient of a small model, fp32 against bf16, and the accelerator against the CPU; and PPO's ratio,
which is 1 at the first update of a batch.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch

from danlu.alignment.reward import rank_batch, reward_loss
from danlu.alignment.texts import RankedTexts
from danlu.feedback.records import prompt_of
from danlu.generation.batch import Ends, draw
from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.hardware.device import compile_problem
from danlu.hardware.memory import measured_peak_memory, reset_peak_memory
from danlu.hardware.peak import measured_peak
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.tokens.chat import Text
from danlu.training.distributed import World
from danlu.training.loop import Batch, Loss, M, StepResult, train_steps
from danlu.training.optimizer import Optimizer
from danlu.training.pieces import tokens_at_once
from danlu.training.pretrain import TokenBatch, next_token_loss
from danlu.training.schedule import Schedule
from ppo_speed import Work, danlu_speed  # beside this file


@dataclass(frozen=True)
class Case:
    """A model and how it is trained here."""

    name: str
    model: ModelConfig
    context: int
    step_tokens: int


def model(width: int, layers: int, heads: int, kv_heads: int, inner: int, vocabulary: int) -> ModelConfig:
    """A Qwen3 shape."""
    return ModelConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=width // heads,
        max_position_embeddings=4096,
    )


CASES = (
    Case("124M", model(768, 12, 12, 12, 2048, 50304), 1024, 262144),
    Case("1B", model(2048, 16, 16, 16, 5632, 50304), 2048, 131072),
)
TINY = (Case("tiny", model(128, 2, 4, 4, 352, 1024), 128, 4096),)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def release(device: torch.device) -> None:
    """Give back what the last case held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def timed(device: torch.device, call: Callable[[], object]) -> float:
    """Seconds of one call, the device's work included."""
    synchronize(device)
    began = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - began


def steps_of(
    model: M, optimizer: Optimizer, objective: Callable[[M, Batch], Loss], batches: list[Batch]
) -> Iterator[StepResult]:
    """Training steps over the same batches, without an end."""
    return train_steps(
        model,
        optimizer,
        Schedule(10**6, 10, 0),
        objective,
        lambda _: batches,
        World(),
        first_step=0,
        clip=1.0,
        nonfinite="stop",
    )


def train(case: Case, device: torch.device, compiled: bool, steps: int) -> dict[str, Any]:
    """Speed and memory of one case."""
    reset_peak_memory(device)
    network = Transformer(case.model, torch.bfloat16)
    network.initialize(torch.Generator().manual_seed(0))
    network.to(device)
    if compiled:
        network.compile_parts()
    optimizer = Optimizer(network, 0.02, 0.005, 0.0, torch.bfloat16)
    tokens = torch.randint(case.model.vocab_size, (case.step_tokens // case.context, case.context + 1), device=device)
    pieces = tokens.split(tokens_at_once(case.model, device) // case.context)
    data = [TokenBatch(p[:, :-1].contiguous(), p[:, 1:].contiguous(), p[:, 1:].numel()) for p in pieces]
    loop = steps_of(network, optimizer, next_token_loss, data)
    first = timed(device, lambda: next(loop))
    next(loop)
    seconds = statistics.median(timed(device, lambda: next(loop)) for _ in range(steps))
    optimizer_seconds = _optimizer_seconds(optimizer, network, device)
    rate = case.model.flops_per_token(case.context) * case.step_tokens / seconds
    return {
        "case": case.name,
        "parameters": case.model.num_parameters(),
        "compiled": compiled,
        "tokens_per_second": case.step_tokens / seconds,
        "flops": rate,
        "fraction_of_peak": rate / measured_peak(device, torch.bfloat16),
        "memory_bytes": measured_peak_memory(device),
        "first_step_seconds": first,
        "optimizer_share": optimizer_seconds / seconds,
    }


def _optimizer_seconds(optimizer: Optimizer, network: Transformer, device: torch.device) -> float:
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step(0, 0.0)
    return timed(device, lambda: optimizer.step(1, 0.0))


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a large sum reads."""
    numbers = torch.ones(2**30 if device.type != "cpu" else 2**26, dtype=torch.float32, device=device)
    numbers.sum()
    return numbers.numel() * 4 / min(timed(device, numbers.sum) for _ in range(5))


def generation(case: Case, device: torch.device, prompts: int, new_tokens: int, read: float) -> dict[str, Any]:
    """Speed of batched generation against the floor: weights once a step, the cache's length on average."""
    network = Transformer(case.model, torch.bfloat16)
    network.initialize(torch.Generator().manual_seed(0))
    decoder = Decoder(case.model, network.to(device).state_dict(), torch.bfloat16, fuse=True)
    rows = [[(7 * i + j) % case.model.vocab_size for j in range(64)] for i in range(prompts)]
    ends = Ends.at((), case.model.vocab_size)
    times = {}
    for top_p in (1.0, 0.95):
        sampling = SamplingConfig(max_new_tokens=new_tokens, temperature=1.0, top_p=top_p, seed=0)
        draw(decoder, rows, sampling, ends)
        times[top_p] = timed(device, partial(draw, decoder, rows, sampling, ends))
    seconds = times[1.0]
    floor = floor_seconds(case.model, prompts, 64, new_tokens, read)
    return {
        "case": case.name,
        "prompts": prompts,
        "tokens_per_second": prompts * new_tokens / seconds,
        "tokens_per_second_top_p": prompts * new_tokens / times[0.95],
        "seconds": seconds,
        "floor_seconds": floor,
        "fraction_of_floor": floor / seconds,
    }


def floor_seconds(config: ModelConfig, rows: int, prompt: int, new_tokens: int, read: float) -> float:
    """Least time to draw so many tokens for each row: bf16 weights once a step, and the cache at its mean length."""
    weights = 2 * config.num_parameters("matmul")
    return (weights + rows * config.kv_cache_bytes(prompt + new_tokens // 2)) * new_tokens / read


def ppo(case: Case, device: torch.device, work: Work, iterations: int, read: float) -> dict[str, Any]:
    """Speed of PPO's iterations; policy and value network learn, reference and reward model judge."""
    reset_peak_memory(device)
    found = danlu_speed(iterations, case.model, work, str(device))
    length = work.prompt + work.response
    learning = 2 * case.model.flops_per_token(length) * work.episodes * length
    seconds = found["seconds"]
    return {
        "case": case.name,
        "episodes": work.episodes,
        "prompt_tokens": work.prompt,
        "response_tokens": work.response,
        "episodes_per_second": found["episodes_per_second"],
        "seconds": seconds,
        "sampling_of_floor": floor_seconds(case.model, work.episodes, work.prompt, work.response, read)
        / seconds["sample"],
        "learning_of_peak": learning / seconds["learn"] / measured_peak(device, torch.bfloat16),
        "memory_bytes": measured_peak_memory(device),
        "approxkl": found["approxkl"],
    }


def reward_model(
    case: Case, device: torch.device, prompts: int, prompt: int, response: int, steps: int
) -> dict[str, Any]:
    """Speed of the reward model's steps: 4 completions a prompt, which is read once."""
    reset_peak_memory(device)
    generator = torch.Generator().manual_seed(0)

    def words(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, case.model.vocab_size, (count,), generator=generator).tolist())

    rankings = []
    for _ in range(prompts):
        asked = words(prompt)
        texts = tuple(Text((*asked, *words(response)), prompt) for _ in range(4))
        rankings.append(RankedTexts(texts, (0, 1, 2, 3), (response,) * 4, prompt_of("?")))
    model = ScoreModel(case.model, torch.bfloat16)
    language = Transformer(case.model)
    language.initialize(generator)
    model.initialize_from(language.state_dict(), generator)
    model.to(device)
    if compile_problem(device.type) is None:
        model.compile_parts()
    optimizer = Optimizer(model, 1e-3, 1e-4, 0.0, torch.bfloat16)
    data = [rank_batch(rankings, 0, device, None, share_prompts=True)]
    loop = steps_of(model, optimizer, reward_loss, data)
    next(loop)
    seconds = statistics.median(timed(device, lambda: next(loop)) for _ in range(steps))
    tokens = prompts * (prompt + 4 * response)
    rate = case.model.flops_per_token(prompt + response) * tokens / seconds
    return {
        "case": case.name,
        "prompts": prompts,
        "tokens_per_second": tokens / seconds,
        "fraction_of_peak": rate / measured_peak(device, torch.bfloat16),
        "memory_bytes": measured_peak_memory(device),
    }


def agreement(device: torch.device) -> dict[str, float]:
    """Relative differences of loss and gradient: bf16 from fp32 here, and fp32 here from fp32 on the CPU."""
    config = TINY[0].model
    tokens = torch.randint(config.vocab_size, (8, 129), generator=torch.Generator().manual_seed(0))

    def run(where: torch.device, dtype: torch.dtype) -> tuple[float, torch.Tensor]:
        network = Transformer(config, dtype)
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.05, generator=generator)
        network.to(where)
        loss = network.loss(tokens[:, :-1].to(where), tokens[:, 1:].to(where)) / tokens[:, 1:].numel()
        loss.backward()
        gradient = torch.cat([p.grad.flatten().float().cpu() for p in network.parameters() if p.grad is not None])
        return loss.item(), gradient

    cpu, exact, fast = (
        run(torch.device("cpu"), torch.float32),
        run(device, torch.float32),
        run(device, torch.bfloat16),
    )
    return {
        "loss_bf16_from_fp32": abs(fast[0] / exact[0] - 1),
        "gradient_bf16_from_fp32": ((fast[1] - exact[1]).norm() / exact[1].norm()).item(),
        "loss_fp32_from_cpu": abs(exact[0] / cpu[0] - 1),
        "gradient_fp32_from_cpu": ((exact[1] - cpu[1]).norm() / cpu[1].norm()).item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="tiny models, to see that everything runs")
    arguments = parser.parse_args()
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    assert device is not None
    if device.type == "cpu" and not arguments.quick:
        sys.exit("gpu.py: no accelerator here. Run it on a machine that has one, or with --quick to try it on the CPU.")
    cases = TINY if arguments.quick else CASES

    peak, read = measured_peak(device, torch.bfloat16), bandwidth(device)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "torch": torch.__version__,
        "peak_bf16_flops": peak,
        "read_bytes_per_second": read,
        "agreement": agreement(device),
        "training": [],
        "generation": [],
        "ppo": [],
        "reward_model": [],
    }
    print(
        f"{figures['device']}, torch {torch.__version__}: bf16 {peak / 1e12:.3g} TFLOP/s, reads {read / 1e9:.4g} GB/s"
    )
    print("agreement: " + ", ".join(f"{name} {value:.1e}" for name, value in figures["agreement"].items()))
    header = f"{'training':10}{'compiled':>9}{'tokens/s':>12}{'TFLOP/s':>9}{'of peak':>9}{'memory':>10}"
    print(header + f"{'first step':>12}{'optimizer':>11}")
    for case in cases:
        for compiled in (True, False):
            row = train(case, device, compiled, steps=3 if arguments.quick else 8)
            figures["training"].append(row)
            print(
                f"{case.name:10}{compiled!s:>9}{row['tokens_per_second']:12,.0f}{row['flops'] / 1e12:9.3g}"
                f"{row['fraction_of_peak']:9.2f}{row['memory_bytes'] / 2**30:8.1f} G"
                f"{row['first_step_seconds']:10.1f} s{row['optimizer_share']:11.0%}",
                flush=True,
            )
            release(device)
    print(f"{'generation':10}{'prompts':>9}{'tokens/s':>12}{'of floor':>9}{'top_p 0.95':>12}")
    for case in cases:
        for prompts in (1, 64):
            row = generation(case, device, prompts, 32 if arguments.quick else 256, read)
            figures["generation"].append(row)
            print(
                f"{case.name:10}{prompts:9}{row['tokens_per_second']:12,.0f}{row['fraction_of_floor']:9.2f}"
                f"{row['tokens_per_second_top_p']:12,.0f}",
                flush=True,
            )
            release(device)
    case = cases[0]
    work = Work(16, 16, 16) if arguments.quick else Work(256, 128, 128)
    row = ppo(case, device, work, 3, read)
    figures["ppo"].append(row)
    print(
        f"PPO, 4 models of {case.name}, {work.episodes} episodes an iteration, {work.prompt} + {work.response} tokens: "
        f"{row['episodes_per_second']:.1f} episodes/s, {row['memory_bytes'] / 2**30:.1f} G; sampling at "
        f"{row['sampling_of_floor']:.2f} of its floor, learning at {row['learning_of_peak']:.2f} of the peak; "
        f"approximate KL before learning {row['approxkl']:.1e}"
    )
    total = sum(row["seconds"].values())
    for part, seconds in sorted(row["seconds"].items(), key=lambda item: -item[1]):
        print(f"  {part:<24}{seconds:8.3f} s an iteration {seconds / total:5.0%}")
    release(device)
    row = reward_model(case, device, *((4, 16, 16) if arguments.quick else (32, 128, 128)), 3 if arguments.quick else 8)
    figures["reward_model"].append(row)
    print(
        f"reward model of {case.name}: {row['tokens_per_second']:,.0f} tokens/s, {row['fraction_of_peak']:.2f} of the "
        f"peak, {row['memory_bytes'] / 2**30:.1f} G",
        flush=True,
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
