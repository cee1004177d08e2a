import dataclasses

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig

SMALL = ModelConfig(
    vocab_size=320,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
)
FAMILIES = {
    "qwen3": (Qwen3Config, {"qk_norm": True, "attention_bias": False}),
    "qwen2": (Qwen2Config, {"qk_norm": False, "attention_bias": True}),
    "llama": (LlamaConfig, {"qk_norm": False, "attention_bias": False}),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_transformers(family: str, tied: bool) -> None:
    theirs, features = FAMILIES[family]
    config = dataclasses.replace(SMALL, model_type=family, tie_word_embeddings=tied, **features)
    model = AutoModelForCausalLM.from_config(
        theirs(
            vocab_size=320,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            tie_word_embeddings=tied,
        )
    )
    everything = sum(parameter.numel() for parameter in model.parameters())
    tables = sum(p.numel() for name, p in model.named_parameters() if "embed_tokens" in name or "lm_head" in name)
    products = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))
    assert config.num_parameters("all") == everything
    assert config.num_parameters("non_embedding") == everything - tables
    assert config.num_parameters("matmul") == products


def test_flops_are_two_a_weight_forward_and_attention_on_top() -> None:
    weights = 3 * (64 * (128 + 64 + 64 + 128) + 3 * 64 * 96) + 320 * 64
    scores_and_mixing = 3 * 2 * (2 * 128 * 100)
    assert SMALL.num_parameters("matmul") == weights
    assert SMALL.flops_per_token(100, backward=False) == 2 * weights + scores_and_mixing
    assert SMALL.flops_per_token(100) == 3 * SMALL.flops_per_token(100, backward=False)


def test_causal_attention_counts_the_lower_triangle() -> None:
    products = 6 * SMALL.num_parameters("matmul")
    square = SMALL.flops_per_token(8) - products
    triangle = SMALL.flops_per_token(8, causal=True) - products
    assert triangle == pytest.approx(square * (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8) / 64)


def test_cache_holds_a_key_and_a_value_for_each_layer_and_key_value_head() -> None:
    assert SMALL.kv_cache_bytes(10) == 2 * 3 * (2 * 32) * 10 * 2
    assert SMALL.kv_cache_bytes(10, bytes_per_number=4) == 2 * SMALL.kv_cache_bytes(10)


@pytest.mark.parametrize(
    ("change", "cause"), [({"num_key_value_heads": 3}, "4 query heads"), ({"head_dim": 33}, "odd")]
)
def test_impossible_shapes_are_refused(change: dict[str, int], cause: str) -> None:
    with pytest.raises(DanluError, match=cause):
        dataclasses.replace(SMALL, **change)
