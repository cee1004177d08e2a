"""Named models: parameters beside the published count, and the same shapes from a configuration."""

import json
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.planner.models import find_model, lookup, model_shape, named_models, shape_from_config

PUBLISHED = {
    # Checkpoints: the sum of the tensors' sizes that the Hub prints.
    "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200,
    "llama-7b": 6_738_415_616,
    "llama-65b": 65_285_660_672,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3.1-405b": 405_853_388_800,
    "qwen2-72b": 72_706_203_648,
    "qwen3-0.6b": 596_049_920,
    "qwen3-32b": 32_762_123_264,
    "qwen3-235b-a22b": 235_093_634_560,
    "deepseek-v2": 235_741_434_880,
    "deepseek-v3": 671_026_419_200,
    "mixtral-8x7b": 46_702_792_704,
    "opt-66b": 65_719_689_216,
    "bloom-176b": 176_247_271_424,
    # Papers that print a count to four digits or so.
    "gpt3-175b": 174_600_000_000,  # Brown et al. 2020, table D.1
    "palm-540b": 540_350_000_000,  # Chowdhery et al. 2022, table 1
}
"""A second copy of the counts, from the sources and not from the catalogue's file."""

ACTIVE = {"deepseek-v3": 37.6e9, "mixtral-8x7b": 12.9e9, "qwen3-235b-a22b": 22.2e9, "qwen3-30b-a3b": 3.35e9}
"""Active parameters: 37B, 12.9B, 22B and 3.3B in the papers; here with both tables."""


@pytest.mark.parametrize("name", list(named_models()))
def test_parameters_are_the_published_ones(name: str) -> None:
    model = named_models()[name]
    error = abs(model.shape.params() / model.published - 1)
    if model.exact:
        assert error == 0
    else:
        assert error <= model.tolerance
    # Above a thousandth only where the source prints a round number.
    digits = f"{model.published:d}".rstrip("0")
    assert model.tolerance <= 0.001 or (len(digits) <= 3 and model.note)


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_counts_from_the_sources(name: str, count: int) -> None:
    assert model_shape(name).params() == pytest.approx(count, rel=1e-3)


@pytest.mark.parametrize(("name", "count"), ACTIVE.items())
def test_active_parameters(name: str, count: float) -> None:
    assert model_shape(name).params("active") == pytest.approx(count, rel=0.01)


def test_names_forgive_spelling() -> None:
    assert find_model("LLaMA 3 70B").shape == find_model("llama3-70b").shape
    assert find_model("gpt3").name == "gpt3-175b"


@pytest.mark.parametrize(
    ("hub", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3-8b"),
        ("meta-llama/Llama-2-70b-chat-hf", "llama2-70b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("deepseek-ai/DeepSeek-V3-Base", "deepseek-v3"),
    ],
)
def test_names_of_the_hub_are_understood(hub: str, name: str) -> None:
    assert find_model(hub).name == name


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(DanluError) as caught:
        find_model("lama3-70b")
    assert "llama3-70b" in caught.value.remedy.lower()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (
            {
                "model_type": "llama",
                "num_hidden_layers": 32,
                "hidden_size": 4096,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "intermediate_size": 14336,
                "vocab_size": 128256,
                "tie_word_embeddings": False,
            },
            "llama3-8b",
        ),
        (
            {
                "model_type": "qwen3_moe",
                "num_hidden_layers": 48,
                "hidden_size": 2048,
                "num_attention_heads": 32,
                "num_key_value_heads": 4,
                "head_dim": 128,
                "intermediate_size": 6144,
                "moe_intermediate_size": 768,
                "num_experts": 128,
                "num_experts_per_tok": 8,
                "vocab_size": 151936,
                "tie_word_embeddings": False,
            },
            "qwen3-30b-a3b",
        ),
        (
            {
                "model_type": "deepseek_v3",
                "num_hidden_layers": 61,
                "hidden_size": 7168,
                "num_attention_heads": 128,
                "num_key_value_heads": 128,
                "intermediate_size": 18432,
                "moe_intermediate_size": 2048,
                "n_routed_experts": 256,
                "n_shared_experts": 1,
                "num_experts_per_tok": 8,
                "first_k_dense_replace": 3,
                "q_lora_rank": 1536,
                "kv_lora_rank": 512,
                "qk_nope_head_dim": 128,
                "qk_rope_head_dim": 64,
                "v_head_dim": 128,
                "vocab_size": 129280,
                "tie_word_embeddings": False,
            },
            "deepseek-v3",
        ),
        (
            {
                "model_type": "gpt2",
                "n_layer": 12,
                "n_embd": 768,
                "n_head": 12,
                "n_positions": 1024,
                "vocab_size": 50257,
            },
            "gpt2",
        ),
    ],
)
def test_a_configuration_gives_the_same_count(config: dict[str, object], name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert model_shape(str(tmp_path)).params() == named_models()[name].published
    assert model_shape(str(tmp_path / "config.json")).params("active") == named_models()[name].shape.params("active")


def test_a_configuration_that_lacks_a_key_says_which() -> None:
    with pytest.raises(DanluError, match="vocab_size"):
        shape_from_config({"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2}, "mine")


@pytest.mark.parametrize("size", ["125M", "1B", "7B", "70B", "1T"])
def test_a_size_makes_a_shape_of_about_that_size(size: str) -> None:
    wanted = float(size[:-1]) * {"M": 1e6, "B": 1e9, "T": 1e12}[size[-1]]
    shape = model_shape(size)
    assert shape.params() == pytest.approx(wanted, rel=0.1)
    assert shape.heads % shape.kv_heads == 0


def test_pieces_add_up() -> None:
    for model in named_models().values():
        shape = model.shape
        assert shape.params("active") <= shape.params("all")
        tables = shape.input_params() + shape.head_params()
        assert shape.params("all") - shape.params("no_tables") == tables


def test_every_name_and_alias_of_the_file_finds_its_model() -> None:
    import tomllib
    from importlib.resources import files

    text = files("danlu.planner").joinpath("models.toml").read_text(encoding="utf-8")
    whole = tomllib.loads(text)["model"]
    assert [entry["name"] for entry in whole] == list(named_models())
    for entry in whole:
        for label in (entry["name"], *entry.get("aliases", ())):
            found = lookup(label)
            assert found is not None
            assert found.name == entry["name"], label


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "bert"}, "no decoder-only transformer"),
        ({"num_attention_heads": 0}, "cannot be read"),
        ({"intermediate_size": "big"}, "cannot be read"),
        ({"kv_lora_rank": 512}, "has no 'qk_nope_head_dim'"),
        ({"model_type": "opt"}, "has no 'max_position_embeddings'"),
        ({"hidden_size": None}, "has no hidden_size"),
    ],
)
def test_a_configuration_that_describes_no_shape_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 9,
    }
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(DanluError) as caught:
        model_shape(str(tmp_path))
    assert words in caught.value.cause
