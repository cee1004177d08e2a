import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config, Qwen3Config

from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained, parse_config, save_pretrained
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer

VOCABULARY = 320
CONFIGS = {"qwen3": Qwen3Config, "qwen2": Qwen2Config, "llama": LlamaConfig}
FAMILIES = list(CONFIGS)
TEXTS = ["The furnace is hot.", "炉火正红，丹未成。", "tabs\tand  spaces\n\n", "1234 + 99 = 1333", "I'll we'd 🙂 naïve"]
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
# Theta away from 10000, which readers assume where they find none.
ROPE = {"rope_type": "default", "rope_theta": 50000.0}


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(TEXTS * 3, VOCABULARY), folder)
    return folder


def our_config(family: str, **changes: Any) -> ModelConfig:
    settings: dict[str, Any] = SHAPE | {"head_dim": 32, "rope_theta": ROPE["rope_theta"], "model_type": family}
    settings |= {"qk_norm": family == "qwen3", "attention_bias": family == "qwen2"}
    return ModelConfig(**(settings | changes))


def our_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """Every tensor random, norms and biases too, so that none can be left out unseen."""
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def their_model(family: str, **changes: Any) -> Any:
    torch.manual_seed(1)
    config = CONFIGS[family](**(SHAPE | {"head_dim": 32, "rope_theta": ROPE["rope_theta"]} | changes))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.eval()


def prompt() -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(2))


def largest_gap(ours: Transformer, theirs: Any) -> float:
    with torch.no_grad():
        return float((ours(prompt()) - theirs(prompt()).logits.float()).abs().max())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_computes_the_same_logits_from_what_we_wrote(
    family: str, tied: bool, tokenizer_folder: Path, tmp_path: Path
) -> None:
    config = our_config(family, tie_word_embeddings=tied)
    ours = our_model(config)
    save_pretrained(config, ours.state_dict(), tokenizer_folder, tmp_path / "model", torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert theirs.dtype == torch.float32
    assert largest_gap(ours, theirs) < 1e-4
    assert ("lm_head.weight" in load_file(tmp_path / "model" / "model.safetensors")) is not tied


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_we_compute_the_same_logits_from_what_transformers_wrote(family: str, tied: bool, tmp_path: Path) -> None:
    theirs = their_model(family, tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")  # many files with an index
    assert (tmp_path / "model.safetensors.index.json").is_file()
    config, state = load_pretrained(tmp_path)
    ours = Transformer(config)
    ours.load_state_dict(state)
    assert config == our_config(family, tie_word_embeddings=tied)
    assert largest_gap(ours.eval(), theirs) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_the_same(family: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config(family)
    ours = our_model(config)
    save_pretrained(config, ours.state_dict(), tokenizer_folder, tmp_path / "model", torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    encoded = tokenizer(TEXTS[0], return_tensors="pt")
    output = theirs.generate(**encoded, do_sample=False, max_new_tokens=24, eos_token_id=VOCABULARY + 1)
    tokens = load_tokenizer(tmp_path / "model").encode(TEXTS[0]).ids
    for _ in range(24):
        tokens.append(int(ours(torch.tensor([tokens]))[0, -1].argmax()))
    assert output[0].tolist() == tokens


def test_weights_split_over_several_files_are_whole(tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config("qwen3", tie_word_embeddings=False)
    state = our_model(config).state_dict()
    save_pretrained(config, state, tokenizer_folder, tmp_path / "model", torch.float32, shard_bytes=100_000)
    assert len(list((tmp_path / "model").glob("model-*-of-*.safetensors"))) > 2
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    read, ours = load_pretrained(tmp_path / "model")
    assert read == config
    for name, tensor in state.items():
        assert torch.equal(tensor, ours[name])
        assert torch.equal(tensor, theirs[name])


def test_tensors_that_share_memory_and_other_dtypes_are_written(tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config("llama")
    state = our_model(config).state_dict()
    joined = torch.randn(2 * 96, 64)
    state["model.layers.0.mlp.gate_proj.weight"], state["model.layers.0.mlp.up_proj.weight"] = joined.chunk(2)
    save_pretrained(config, state, tokenizer_folder, tmp_path / "model", torch.bfloat16)
    _, read = load_pretrained(tmp_path / "model")
    assert torch.equal(read["model.layers.0.mlp.up_proj.weight"], joined[96:].bfloat16())
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chat", [False, True])
def test_auto_tokenizer_gives_the_raw_ids(family: str, chat: bool, tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config(family)
    save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path / "m", torch.float32, chat=chat)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "m")
    raw = load_tokenizer(tmp_path / "m", markup=True)
    for text in [*TEXTS, "<|im_start|>user\nhi<|im_end|>", " leading", ""]:
        assert theirs(text)["input_ids"] == raw.encode(text).ids
        assert theirs.decode(raw.encode(text).ids) == raw.decode(raw.encode(text).ids, skip_special_tokens=False)


def test_a_base_model_has_no_template_and_stops_at_the_end_of_the_text(tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config("qwen3")
    save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path / "m", torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert tokenizer.chat_template is None
    assert not (tmp_path / "m" / "chat_template.jinja").exists()
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id == end
    assert model.config.pad_token_id == tokenizer.pad_token_id == tokenizer.convert_tokens_to_ids("<|pad|>")


def test_a_chat_model_has_a_template_and_stops_at_the_end_of_its_turn(tokenizer_folder: Path, tmp_path: Path) -> None:
    config = our_config("qwen3")
    save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path / "m", torch.float32, chat=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    messages = [{"role": "user", "content": "Is it gold?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nIs it gold?<|im_end|>\n<|im_start|>assistant\n"
    settings = json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == (tmp_path / "m" / "chat_template.jinja").read_text()
    turn, end = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    assert model.config.eos_token_id == tokenizer.eos_token_id == turn
    assert model.generation_config.eos_token_id == [turn, end]


def test_a_model_keeps_the_tokenizer_it_came_with(tokenizer_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(tokenizer_folder, source)
    settings = {"tokenizer_class": "LlamaTokenizer", "eos_token": {"content": "<|im_end|>"}, "chat_template": "{{ 1 }}"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    config = our_config("llama")
    save_pretrained(config, our_model(config).state_dict(), source, tmp_path / "m", torch.float32, chat=True)
    written = json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert written["chat_template"] == "{{ 1 }}"


PLAIN = SHAPE | {"model_type": "llama", "rope_theta": 50000.0}


def test_both_spellings_of_theta_are_read() -> None:
    assert parse_config(PLAIN, "c").rope_theta == 50000.0
    new = {key: value for key, value in PLAIN.items() if key != "rope_theta"} | {"rope_parameters": dict(ROPE)}
    assert parse_config(new, "c").rope_theta == 50000.0
    assert parse_config(PLAIN | {"rope_scaling": None}, "c") == parse_config(new | {"rope_theta": 50000.0}, "c")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "mamba"}, "mamba.*\n.*qwen3, qwen2, llama"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling asks for 'linear'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 50000.0}}, "yarn"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "full_attention"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}, "rope_theta is given as"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"use_sliding_window": True, "max_window_layers": 1}, "use_sliding_window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ({"hidden_size": None}, "hidden_size"),
        ({"model_type": "qwen3"}, "num_key_value_heads|head_dim"),
    ],
)
def test_what_cannot_be_computed_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(DanluError, match=named):
        parse_config(PLAIN | change, "config.json")


@pytest.fixture
def written(tokenizer_folder: Path, tmp_path: Path) -> Path:
    config = our_config("qwen3")
    save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path / "model", torch.float32)
    return tmp_path / "model"


def change_tensors(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda t: t.pop("model.norm.weight"), "tensor model.norm.weight is missing"),
        (lambda t: t.update({"score.weight": torch.ones(2)}), "score.weight is no part"),
        (lambda t: t.update({"model.norm.weight": torch.ones(3)}), r"is \(3,\), not \(64,\)"),
        (lambda t: t.update({"model.norm.weight": torch.ones(64, dtype=torch.int8)}), "stored as torch.int8"),
        (lambda t: t.update({"lm_head.weight": torch.ones(VOCABULARY, 64)}), "ties the head"),
    ],
)
def test_a_folder_whose_tensors_do_not_fit_is_refused(written: Path, change: Any, cause: str) -> None:
    change_tensors(written, change)
    with pytest.raises(DanluError, match=cause):
        load_pretrained(written)


def test_harmless_spare_tensors_are_left_out(written: Path) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)

    change_tensors(written, add)
    _, state = load_pretrained(written)
    assert "lm_head.weight" not in state
    assert not any("inv_freq" in name for name in state)


def test_damaged_and_missing_files_are_told_apart(written: Path, tmp_path: Path) -> None:
    weights = written / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DanluError, match="damaged"):
        load_pretrained(written)
    weights.unlink()
    with pytest.raises(DanluError, match=r"no model\.safetensors"):
        load_pretrained(written)
    (written / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DanluError, match="pickle"):
        load_pretrained(written)
    with pytest.raises(DanluError, match="no file"):
        load_pretrained(tmp_path / "nowhere")


def test_another_folder_is_not_overwritten(tokenizer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    config = our_config("qwen3")
    with pytest.raises(DanluError, match="not a model folder"):
        save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path, torch.float32)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_tokenizer_that_knows_more_tokens_than_the_model_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    known = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json")).get_vocab_size()
    config = our_config("qwen3", vocab_size=known - 1)
    with pytest.raises(DanluError, match=f"knows {known} tokens"):
        save_pretrained(config, our_model(config).state_dict(), tokenizer_folder, tmp_path / "m", torch.float32)
