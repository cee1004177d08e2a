"""How fast training runs beside transformers' model of the same shape, and beside this machine's own peak.

    python benchmarks/train_speed.py [--json FILE] [--steps 3]

Three ways take the same optimizer steps on the same random tokens, in turn, so that a drifting clock meets all alike:
plain (transformers' Qwen3, fp32, eager, AdamW), best (the same, bf16 autocast and torch.compile) and danlu's own loop.
Each has a process of its own, for danlu has the C library keep freed memory, which would speed the others up too, and
takes the step in pieces of the size that suits it. A small model is timed against the peak alone. The peak is the best
square bf16 product seen.
"""

import argparse
import contextlib
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from danlu.hardware.peak import measured_peak
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.training.distributed import World
from danlu.training.loop import train_steps
from danlu.training.optimizer import Optimizer
from danlu.training.pieces import tokens_at_once
from danlu.training.pretrain import TokenBatch, next_token_loss
from danlu.training.schedule import Schedule

CONTEXT, STEP_TOKENS = 256, 16384
SHAPE = ModelConfig(
    vocab_size=4096,
    hidden_size=384,
    intermediate_size=1024,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=6,
    head_dim=64,
)
SMALL = ModelConfig(
    vocab_size=1024,
    hidden_size=128,
    intermediate_size=352,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=32,
)


def batches(config: ModelConfig, context: int, micro_tokens: int) -> list[TokenBatch]:
    """One step's random tokens, cut into micro-batches."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(config.vocab_size, (STEP_TOKENS // context, context + 1), generator=generator)
    return [
        TokenBatch(piece[:, :-1].contiguous(), piece[:, 1:].contiguous(), piece[:, 1:].numel())
        for piece in tokens.split(max(1, micro_tokens // context))
    ]


def danlu_step(config: ModelConfig, context: int) -> Callable[[], object]:
    """One optimizer step of danlu's loop at each call."""
    model = Transformer(config, torch.bfloat16)
    model.initialize(torch.Generator().manual_seed(0))
    optimizer = Optimizer(model, 0.02, 0.005, 0.0, torch.bfloat16)
    data = batches(config, context, tokens_at_once(config, torch.device("cpu")))
    schedule = Schedule(10**6, 10, 0)
    steps = train_steps(
        model, optimizer, schedule, next_token_loss, lambda _: data, World(), first_step=0, clip=1.0, nonfinite="stop"
    )
    return lambda: next(steps)


def transformers_step(config: ModelConfig, context: int, best: bool) -> Callable[[], object]:
    """One optimizer step of transformers' model with AdamW at each call."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    model: torch.nn.Module = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=best)
    if best:
        model.compile()
    data = batches(config, context, 4096)  # its best: with 8192 tokens at once it was 5% slower, with 16384 31%

    def step() -> None:
        for batch in data:
            with torch.autocast("cpu", torch.bfloat16, enabled=best):
                logits = model(input_ids=batch.inputs).logits
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten())
            (loss / len(data)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


WAYS: dict[str, Callable[[], Callable[[], object]]] = {
    "plain": lambda: transformers_step(SHAPE, CONTEXT, best=False),
    "best": lambda: transformers_step(SHAPE, CONTEXT, best=True),
    "danlu": lambda: danlu_step(SHAPE, CONTEXT),
    "small": lambda: danlu_step(SMALL, 128),
}


def work(name: str, pipe: Connection) -> None:
    """Take a step whenever asked to; the answer is its seconds, the first with what comes before it."""
    step = None
    with contextlib.suppress(EOFError):  # nobody asks any more
        while pipe.recv():
            began = time.perf_counter()
            step = step or WAYS[name]()
            step()
            pipe.send(time.perf_counter() - began)


class Way:
    """One way of taking a step, in a process of its own."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=work, args=(name, theirs), daemon=True).start()

    def __call__(self) -> float:
        """Seconds of one step."""
        self._pipe.send(True)
        return float(self._pipe.recv())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each way")
    arguments = parser.parse_args()

    cpu = torch.device("cpu")
    peak = measured_peak(cpu, torch.bfloat16)
    small = Way("small")
    danlu_start = small()
    ways, starts = {}, {}
    for name in ("plain", "best", "danlu"):  # one after the other, so that none waits for another
        ways[name] = Way(name)
        starts[name] = ways[name]()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.steps):
        for name, step in ways.items():
            seconds[name].append(step())
    small_seconds = [small() for _ in range(10 * arguments.steps)]
    peak = max(peak, measured_peak.__wrapped__(cpu, torch.bfloat16))  # before and after: the clock may have risen

    median = {name: statistics.median(values) for name, values in seconds.items()}
    flops = SHAPE.flops_per_token(CONTEXT)
    small_flops = SMALL.flops_per_token(128) * STEP_TOKENS / statistics.median(small_seconds)
    figures = {
        "ratio_plain": median["plain"] / median["danlu"],
        "ratio_best": median["best"] / median["danlu"],
        "fraction_of_peak": flops * STEP_TOKENS / median["danlu"] / peak,
        "fraction_of_peak_small": small_flops / peak,
        "peak_flops": peak,
        "tokens_per_second": {name: STEP_TOKENS / value for name, value in median.items()},
        "first_step_seconds": {**starts, "danlu_small": danlu_start},
    }
    print(f"{SHAPE.num_parameters('all') / 1e6:.1f}M parameters, context {CONTEXT}, {STEP_TOKENS} tokens a step")
    print(f"{'way':8}{'tokens/s':>12}{'GFLOP/s':>10}{'of peak':>9}{'first step':>12}")
    for name, value in median.items():
        rate = flops * STEP_TOKENS / value
        print(f"{name:8}{STEP_TOKENS / value:12,.0f}{rate / 1e9:10.0f}{rate / peak:9.2f}{starts[name]:10.1f} s")
    print(f"peak    {'':12}{peak / 1e9:10.0f}")
    print(f"danlu is {figures['ratio_plain']:.2f} times plain and {figures['ratio_best']:.2f} times best.")
    print(
        f"{SMALL.num_parameters('all') / 1e6:.2f}M parameters: {small_flops / 1e9:.0f} GFLOP/s, "
        f"{small_flops / peak:.2f} of peak, first step {danlu_start:.1f} s"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
