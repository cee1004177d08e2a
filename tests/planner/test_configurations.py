"""Configurations of many families counted as `transformers` counts them, and those that are not modelled refused."""

from pathlib import Path
from typing import Any

import pytest

from danlu.cli.main import main
from danlu.common.errors import DanluError
from danlu.planner.models import read_config, shape_from_config

SMALL: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 300}
FEW = {"num_key_value_heads": 2, "intermediate_size": 96, "head_dim": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, **FEW, "tie_word_embeddings": True},
    "mistral": {**SMALL, **FEW},
    "qwen2": {**SMALL, **FEW},
    "qwen3": {**SMALL, **FEW},
    "gemma": {**SMALL, **FEW, "head_dim": 24},
    "gemma2": {**SMALL, **FEW, "head_dim": 24},
    "gemma3_text": {**SMALL, **FEW, "head_dim": 24},
    "phi3": {**SMALL, "num_key_value_heads": 2, "intermediate_size": 96, "pad_token_id": 0},
    "arcee": {**SMALL, **FEW},
    "apertus": {**SMALL, "num_key_value_heads": 2, "intermediate_size": 96},
    "starcoder2": {**SMALL, "num_key_value_heads": 2, "intermediate_size": 96},
    "gptj": {"n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300, "rotary_dim": 8},
    "gpt_bigcode": {"n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300},
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300},
    "ernie4_5_moe": {
        **SMALL,
        "num_key_value_heads": 2,
        "intermediate_size": 96,
        "moe_num_experts": 8,
        "moe_k": 2,
        "moe_intermediate_size": 32,
        "moe_num_shared_experts": 2,
        "moe_layer_start_index": 1,
    },
    "llama4_text": {
        **SMALL,
        **FEW,
        "intermediate_size_mlp": 128,
        "num_local_experts": 4,
        "interleave_moe_layer_step": 2,
    },
    "deepseek_v3": {
        **SMALL,
        "num_key_value_heads": 4,
        "intermediate_size": 96,
        "moe_intermediate_size": 32,
        "n_routed_experts": 8,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 16,
        "q_lora_rank": 24,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
    },
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_familys_parameters_are_those_of_its_own_code(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    try:
        config = transformers.AutoConfig.for_model(kind, **FAMILIES[kind])
    except ValueError:
        pytest.skip(f"this transformers has no {kind}")
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    shape = read_config(tmp_path / "config.json")
    assert shape.params() == pytest.approx(sum(p.numel() for p in model.parameters()), rel=1e-2)
    assert not shape.doubt


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model_type": "jamba", "attn_layer_period": 8}, "attn_layer_period"),
        ({"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]}, "linear_attention"),
        ({"model_type": "lfm2"}, "not modelled here"),
        ({"model_type": "granitemoehybrid", "layer_types": ["mamba", "attention"], "mamba_d_state": 4}, "mamba"),
        ({"model_type": "llama", "num_hidden_layers": "32"}, "num_hidden_layers .* is '32'"),
        ({"model_type": "llama", "num_key_value_heads": 3}, "do not divide"),
    ],
)
def test_what_would_be_misread_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(DanluError, match=said):
        shape_from_config({**SMALL, "intermediate_size": 96, **more}, "this")


def test_layers_of_a_mixed_kind_that_are_all_attention_are_planned() -> None:
    config = {**SMALL, "model_type": "granitemoehybrid", "mamba_d_state": 4, "layer_types": ["attention"] * 4}
    assert shape_from_config(config, "this").layers == 4


def test_an_unknown_type_is_planned_with_a_doubt_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{"model_type": "brandnew", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,'
        ' "vocab_size": 32000, "intermediate_size": 11008}'
    )
    assert main(["plan", "--model", str(path), "--tokens", "1T", "--chip", "h100", "--count", "64"]) == 0
    assert "models of the type 'brandnew' are not known here" in " ".join(capsys.readouterr().out.split())
