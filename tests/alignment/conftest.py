"""A tiny base model and a small world of demonstrations and rankings, for the tests of all steps."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.model.config import ModelConfig
from danlu.model.huggingface import save_pretrained
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import save_tokenizer, train_tokenizer

WORDS = ("fire", "dust", "gold", "rust", "iron", "coal", "salt", "lead")
CONTEXT = 64


def make_base(folder: Path, family: str = "qwen3") -> Path:
    """A model folder: one block of width 32, random weights."""
    text = ["user assistant say twice name " + " ".join(WORDS), "<|im_start|>user\n<|im_end|>\n"] * 4
    tokenizer = train_tokenizer(text, 320)
    save_tokenizer(tokenizer, folder / "tokenizer")
    config = ModelConfig(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=CONTEXT, qk_norm=family == "qwen3",
        attention_bias=family == "qwen2", model_type=family,  # type: ignore[arg-type]
    )  # fmt: skip
    model = Transformer(config)
    model.initialize(torch.Generator().manual_seed(0))
    with torch.no_grad():  # matrices that begin at zero would hide half of the model
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    save_pretrained(config, model.state_dict(), folder / "tokenizer", folder / "model", torch.float32)
    return folder / "model"


def make_demonstrations(count: int, seed: int = 0) -> list[Demonstration]:
    """Asked to say a word twice, the assistant does."""
    rng = random.Random(seed)
    asked = [(rng.choice(WORDS), rng.choice(WORDS)) for _ in range(count)]
    return [Demonstration(prompt_of(f"say {a} {b} twice"), f"{a} {b} {a} {b}") for a, b in asked]


def make_rankings(count: int, seed: int = 0, completions: int = 3) -> list[Ranking]:
    """The more gold in a completion, the better, whatever was asked; some are tied. All are of one length."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        word = "gold"
        others = [w for w in WORDS if w != word]
        hits = [rng.randrange(4) for _ in range(completions)]
        if len(set(hits)) == 1:
            hits[0] = (hits[0] + 1) % 4
        texts = [" ".join([word] * n + rng.sample(others, 4 - n)) for n in hits]
        found.append(Ranking(prompt_of(f"name {rng.choice(WORDS)} {number}"), tuple(texts), tuple(3 - n for n in hits)))
    return found


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model's folder."""
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def demonstrations() -> Callable[..., list[Demonstration]]:
    """From a number (and a seed) to demonstrations."""
    return make_demonstrations


@pytest.fixture(scope="session")
def rankings() -> Callable[..., list[Ranking]]:
    """From a number (and a seed) to rankings."""
    return make_rankings
