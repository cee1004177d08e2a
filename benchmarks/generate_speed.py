"""How fast text is sampled beside transformers' generate, on the same weights and prompts, and beside the floor.

    python benchmarks/generate_speed.py [--json FILE] [--rounds 3]

64 prompts of 32 tokens get 128 new tokens each, in bf16: by transformers with either of its caches, and by danlu; drawn
at temperature 1, and greedily. The ways take turns, and each is judged by its best round: other work on the machine can
only slow it down. The floor is the time that the arithmetic at this machine's measured peak, or the reading of weights
and cache at its measured bandwidth, would take, whichever is longer.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer, models

from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.generate import Generator
from danlu.hardware.peak import measured_peak
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer

PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 64, 32, 128
SHAPE = ModelConfig(
    vocab_size=4096,
    hidden_size=384,
    intermediate_size=1024,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=6,
    head_dim=64,
    max_position_embeddings=256,
)


def random_model() -> Transformer:
    """A model whose blocks all do something, unlike a fresh one's."""
    model = Transformer(SHAPE, torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def transformers_ways(model: Transformer, prompts: torch.Tensor) -> dict[str, Callable[[bool], object]]:
    """transformers' generate with its growing and with its fixed cache; each is called with whether to draw."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    theirs = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=SHAPE.vocab_size,
            hidden_size=SHAPE.hidden_size,
            intermediate_size=SHAPE.intermediate_size,
            num_hidden_layers=SHAPE.num_hidden_layers,
            num_attention_heads=SHAPE.num_attention_heads,
            num_key_value_heads=SHAPE.num_key_value_heads,
            head_dim=SHAPE.head_dim,
            max_position_embeddings=SHAPE.max_position_embeddings,
            tie_word_embeddings=True,
        )
    )
    theirs.load_state_dict(model.state_dict(), strict=False)  # the tied head has a second name there
    theirs = theirs.to(torch.bfloat16).eval()

    def way(cache: str | None) -> Callable[[bool], object]:
        def run(draw: bool) -> object:
            return theirs.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=NEW_TOKENS,
                do_sample=draw,
                top_k=0 if draw else None,
                pad_token_id=0,
                cache_implementation=cache,
            )

        return run

    return {"transformers": way(None), "transformers, static cache": way("static")}


def danlu_way(model: Transformer, prompts: torch.Tensor) -> tuple[Callable[[bool], object], float]:
    """danlu's generation, called with whether to draw, and the seconds of repacking the weights."""
    words = {f"w{i}": i for i in range(SHAPE.vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    began = time.perf_counter()
    decoder = Decoder.of(model)
    seconds = time.perf_counter() - began
    generator = Generator(decoder, tokenizer)

    def run(draw: bool) -> object:
        config = SamplingConfig(temperature=1.0 if draw else 0.0, top_p=1.0, max_new_tokens=NEW_TOKENS)
        return generator.generate(prompts.tolist(), config, batch_size=PROMPTS)

    return run, seconds


def floor_seconds() -> dict[str, float]:
    """The least time of the whole work by arithmetic and by memory."""
    cpu = torch.device("cpu")
    weights = SHAPE.num_parameters("matmul")
    tokens = PROMPTS * (PROMPT_TOKENS + NEW_TOKENS)
    cache = PROMPTS * sum(SHAPE.kv_cache_bytes(PROMPT_TOKENS + step) for step in range(NEW_TOKENS))
    return {
        "arithmetic": 2.0 * weights * tokens / measured_peak(cpu, torch.bfloat16),
        "memory": (2.0 * weights * NEW_TOKENS + cache) / read_bandwidth(),
    }


def read_bandwidth() -> float:
    """Bytes a second at which a large tensor can be summed, at best."""
    large = torch.ones(64_000_000)
    return large.numel() * 4 / min(timed(lambda: large.sum()) for _ in range(8))


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each way")
    arguments = parser.parse_args()

    model = random_model()
    prompts = torch.randint(SHAPE.vocab_size, (PROMPTS, PROMPT_TOKENS), generator=torch.Generator().manual_seed(1))
    ours, packing = danlu_way(model, prompts)
    ways = transformers_ways(model, prompts) | {"danlu": ours}
    seconds = {(name, draw): float("inf") for name in ways for draw in (True, False)}
    ours(True)
    for _ in range(arguments.rounds):
        for name, draw in seconds:
            seconds[name, draw] = min(seconds[name, draw], timed(partial(ways[name], draw)))
    floor = floor_seconds()

    speed = {key: PROMPTS * NEW_TOKENS / value for key, value in seconds.items()}
    theirs = {draw: max(speed[name, draw] for name in ways if name != "danlu") for draw in (True, False)}
    figures = {
        "ratio": speed["danlu", True] / theirs[True],
        "ratio_greedy": speed["danlu", False] / theirs[False],
        "tokens_per_second": {
            kind: {name: speed[name, draw] for name in ways} for kind, draw in (("drawn", True), ("greedy", False))
        },
        "floor_seconds": floor,
        "fraction_of_floor": max(floor.values()) / seconds["danlu", True],
        "repacking_seconds": packing,
    }
    print(f"{SHAPE.num_parameters('all') / 1e6:.1f}M parameters, {PROMPTS} prompts of {PROMPT_TOKENS} tokens, ", end="")
    print(f"{NEW_TOKENS} new tokens each, bf16, {torch.get_num_threads()} threads")
    print(f"{'tokens/s':28}{'drawn':>10}{'greedy':>10}")
    for name in ways:
        print(f"{name:28}{speed[name, True]:10,.0f}{speed[name, False]:10,.0f}")
    print(
        f"danlu is {figures['ratio']:.2f} times transformers' best drawn, {figures['ratio_greedy']:.2f} times greedy."
    )
    print(
        f"Floor: {floor['arithmetic']:.2f} s of arithmetic, {floor['memory']:.2f} s of memory; "
        f"danlu took {seconds['danlu', True]:.2f} s, {figures['fraction_of_floor']:.0%} of its speed."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
