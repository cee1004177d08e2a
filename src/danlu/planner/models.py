"""Named models, and shapes from a Hugging Face config.json."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from danlu.common.entries import entry_labels, split_entries
from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.strict import from_mapping
from danlu.planner.shape import Experts, LatentAttention, ModelShape, dense_shape


@dataclass(frozen=True)
class NamedModel:
    """A published model."""

    shape: ModelShape
    aliases: tuple[str, ...]
    published: int
    """Parameters that its authors or its checkpoint give."""
    exact: bool
    """The published count is that of a checkpoint, to the last parameter; a rounded one otherwise."""
    source: str
    tolerance: float = 0.001
    """How far the shape's count may lie from a published one that is not exact, as a share; above a thousandth only
    where the source prints a round number, as the note says."""
    note: str = ""

    @property
    def name(self) -> str:
        """Its name here."""
        return self.shape.name


def named_models() -> dict[str, NamedModel]:
    """All named models by name, in the file's order."""
    return {name: _named(name) for name in _blocks()}


@cache
def _blocks() -> dict[str, str]:
    """The text of each entry of models.toml by the model's name: most commands need one of them."""
    text = files("danlu.planner").joinpath("models.toml").read_text(encoding="utf-8")
    return split_entries(text, "model")


@cache
def _named(name: str) -> NamedModel:
    (entry,) = tomllib.loads(f"[[model]]\n{_blocks()[name]}")["model"]
    shape = from_mapping(ModelShape, {"name": entry["name"], **entry["shape"]}, f"models.toml, {name}")
    return NamedModel(
        shape,
        tuple(entry.get("aliases", ())),
        entry["published"],
        entry["exact"],
        entry["source"],
        entry.get("tolerance", 0.001),
        entry.get("note", ""),
    )


def find_model(name: str) -> NamedModel:
    """The named model, by its name or an alias; case, spaces, hyphens and underscores do not matter.

    Raises:
        DanluError: no such model; the nearest names are in the remedy.
    """
    found = lookup(name)
    if found:
        return found
    known = {_plain(label): label for model in named_models().values() for label in (model.name, *model.aliases)}
    near = [known[key] for key in difflib.get_close_matches(_plain(name), known, n=4, cutoff=0.5)]
    hint = f"Nearest: {', '.join(near)}." if near else f"There are {', '.join(list(named_models())[:12])} and others."
    raise DanluError(
        f"there is no model '{name}' in the catalogue.",
        f"{hint} Or give a config.json, or a size such as 7B.",
    )


_TAUGHT = re.compile(r"(?:-(?:hf|chat|it|base|instruct|v0\.\d))+$", re.IGNORECASE)
"""Ends of Hugging Face names that change no shape."""


def lookup(name: str) -> NamedModel | None:
    """The named model, or None; a Hugging Face name loses its owner, and a version taught to answer is its base's."""
    labels = _labels()
    bare = re.sub(r"^[\w.-]+/(?=[^/]+$)", "", name)
    base = _TAUGHT.sub("", bare)
    plain = (_plain(name), _plain(bare), _plain(base))
    found = next((labels[each] for each in plain if each in labels), None)
    return _named(found) if found else None


def model_shape(text: str) -> ModelShape:
    """A shape from what a person writes: a name, a path of a config.json or of its folder, or a size such as `7B`.

    Raises:
        DanluError: none of these.
    """
    path = Path(text)
    if text.endswith(".json") or (path / "config.json").is_file():
        return read_config(path / "config.json" if path.is_dir() else path)
    named = lookup(text)
    if named:
        return named.shape
    size = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([MBT])\s*", text, re.IGNORECASE)
    if size:
        scale = {"m": 1e6, "b": 1e9, "t": 1e12}[size[2].lower()]
        return dense_shape(float(size[1]) * scale)
    return find_model(text).shape


def read_config(path: Path) -> ModelShape:
    """The shape that a Hugging Face config.json describes.

    Raises:
        DanluError: the file cannot be read, or lacks what a shape needs.
    """
    give = "Give the config.json of a decoder-only model."
    try:
        config = read_json(path)
    except DanluError as error:
        raise DanluError(error.cause, give) from error
    if not isinstance(config, dict):
        raise DanluError(f"{path} is not a model's configuration.", give)
    if config.get("is_encoder_decoder"):
        raise DanluError(f"{path} describes an encoder and a decoder, whose steps are not modelled here.", give)
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        inner = config
    kind = str(inner.get("model_type", "")).lower()
    if any(word in kind for word in _ENCODERS) and not inner.get("is_decoder"):
        raise DanluError(f"{path} describes a {kind}, which is no decoder-only transformer.", give)
    return shape_from_config(inner, name=path.parent.name or path.stem)


_ENCODERS = ("bert", "electra", "vit", "clip", "wav2vec", "t5", "whisper", "bart", "mamba", "rwkv")
"""Parts of the types of models that are no decoder-only transformers."""


_KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
    "vocab": ("vocab_size", "padded_vocab_size"),
}
_LEARNED_POSITIONS = {"gpt2", "gpt_bigcode", "gpt_neo", "openai-gpt"}
_PLAIN_FFN = {"bloom", "opt", "gpt_neox", "gptj", "codegen", "falcon", "mpt", "nemotron", "phi", "starcoder2", "xglm"}
_PLAIN_FFN |= {"biogpt", "ctrl", "persimmon", "arcee", "apertus", "nanochat", *_LEARNED_POSITIONS}
_LAYER_NORM = {"bloom", "opt", "gpt_neox", "gptj", "codegen", "falcon", "mpt", "nemotron", "dbrx", "phi", "starcoder2"}
_LAYER_NORM |= {"biogpt", "ctrl", "persimmon", "xglm", *_LEARNED_POSITIONS}
_BIASED = {"gpt2", "bloom", "opt", "gpt_neox", "phi", "starcoder2", "gpt_bigcode", "persimmon", "xglm", "biogpt"}
_BIASED |= {"openai-gpt", "ctrl"}
_TIED_BY_DEFAULT = {
    "gpt2",
    "bloom",
    "opt",
    "gemma",
    "gemma2",
    "gemma3_text",
    "mpt",
    "falcon",
    "cohere",
    "cohere2",
    "ctrl",
}
_TIED_BY_DEFAULT |= {"starcoder2", "xglm", "biogpt", *_LEARNED_POSITIONS}
_GATED = {"llama", "llama4_text", "mistral", "ministral", "mixtral", "phi3", "phimoe"}
_GATED |= {"qwen", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}
_GATED |= {"gemma", "gemma2", "gemma3_text", "vaultgemma"}
_GATED |= {"deepseek", "deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"}
_GATED |= {"glm", "glm4", "glm4_moe", "chatglm", "minimax_m2"}
_GATED |= {"ernie4_5", "ernie4_5_moe", "exaone4", "seed_oss", "gpt_oss"}
_GATED |= {"olmo", "olmo2", "olmo3", "olmoe", "flex_olmo"}
_GATED |= {"granite", "granitemoe", "granitemoeshared", "cohere", "cohere2"}
_GATED |= {"baichuan", "internlm", "internlm2", "internlm3", "minicpm", "yi", "xverse"}
_GATED |= {"stablelm", "smollm3", "helium", "bitnet", "diffllama", "dbrx", "grok-1"}
_UNLIKE = {"doge", "jetmoe", "lfm2", "lfm2_moe", "longcat_flash", "minimax", "minimax_text_01"}
"""Types whose layers are of another make, and whose keys do not say it."""
_OTHER_LAYERS = ("mamba_", "ssm_", "linear_", "lru_", "conv_L_", "attn_layer_", "rwkv_", "time_step_")
"""Beginnings of keys that speak of layers without attention."""


def _refuse_other_layers(config: Mapping[str, Any], kind: str, name: str) -> None:
    kinds = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(kinds, list):
        other = sorted({str(each) for each in kinds if "attention" not in str(each) or "linear" in str(each)})
    else:
        other = [key for key in config if key.startswith(_OTHER_LAYERS)][:1]
    if other or kind in _UNLIKE:
        what = f" ({', '.join(other)})" if other else ""
        raise DanluError(
            f"the configuration of {name} has layers{what} that are not modelled here.",
            "Give its size as a number of parameters (--model 7B) for a plain transformer of that size.",
        )


def shape_from_config(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape that the keys of a Hugging Face configuration give.

    Raises:
        DanluError: a key is missing or not a number.
    """
    try:
        return _shape_from_config(config, name)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
        raise DanluError(
            f"the configuration of {name} {what}.", "Give the config.json of a decoder-only model, as published."
        ) from error


def _shape_from_config(config: Mapping[str, Any], name: str) -> ModelShape:
    kind = str(config.get("model_type", ""))
    _refuse_other_layers(config, kind, name)
    sizes = {field: _number(config, keys, name) for field, keys in _KEYS.items()}
    hidden, heads = sizes["hidden"], sizes["heads"]
    kv_heads = config.get("num_key_value_heads") or config.get("multi_query_group_num") or heads
    if kind == "falcon" and not config.get("new_decoder_architecture"):
        kv_heads = 1 if config.get("multi_query") else heads
    elif kind == "falcon":
        kv_heads = config.get("num_kv_heads", heads)
    elif kind == "gpt_bigcode" and config.get("multi_query", True):
        kv_heads = 1
    widths = ("intermediate_size_mlp", "intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "dff")
    ffn = next((config[key] for key in widths if config.get(key)), 4 * hidden)
    if kind == "qwen":  # the first Qwen counts the gate's and the value's width together
        ffn = int(ffn) // 2
    biased = kind in _BIASED
    qkv_bias = biased or kind in ("qwen", "qwen2", "qwen2_moe") or bool(config.get("attention_bias"))
    qkv_bias = qkv_bias or bool(config.get("add_qkv_bias"))
    shape = ModelShape(
        name=name,
        layers=sizes["layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=int(kv_heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        ffn=int(ffn),
        vocab=sizes["vocab"],
        ffn_matrices=2 if kind in _PLAIN_FFN else 3,
        tied=bool(config.get("tie_word_embeddings", kind in _TIED_BY_DEFAULT)),
        positions=_positions(config, kind),
        norm="layer" if kind in _LAYER_NORM else "rms",
        norms_per_layer=4 if kind in ("gemma2", "gemma3_text") else 2,
        embedding_norm=kind == "bloom",
        qk_norm=kind in ("qwen3", "qwen3_moe", "gemma3_text"),
        qkv_bias=qkv_bias,
        out_bias=biased or (bool(config.get("attention_bias")) and kind not in ("glm4", "deepseek_v3")),
        ffn_bias=biased or kind in ("gptj", "codegen", "gpt_neo") or bool(config.get("mlp_bias")),
        doubt=""
        if kind in _GATED | _PLAIN_FFN
        else f"models of the type '{kind}' are not known here: {name} is read as a usual decoder with a gated"
        " feed-forward network; check its number of parameters",
    )
    if config.get("kv_lora_rank"):
        shape = replace(
            shape,
            mla=LatentAttention(
                q_rank=int(config.get("q_lora_rank") or 0),
                kv_rank=int(config["kv_lora_rank"]),
                nope_dim=int(config["qk_nope_head_dim"]),
                rope_dim=int(config["qk_rope_head_dim"]),
                v_dim=int(config["v_head_dim"]),
            ),
        )
    experts = _experts(config, kind, shape)
    return replace(shape, moe=experts) if experts else shape


def _experts(config: Mapping[str, Any], kind: str, shape: ModelShape) -> Experts | None:
    counts = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    count = next((config[key] for key in counts if config.get(key)), 0)
    if not count:
        return None
    actives = ("num_experts_per_tok", "experts_per_token", "moe_topk", "moe_k")
    active = next((config[key] for key in actives if config.get(key)), 0)
    if not active:
        raise DanluError(
            f"the configuration of {shape.name} does not say how many experts a token passes through.",
            "Add num_experts_per_tok.",
        )
    width = int(config.get("moe_intermediate_size") or shape.ffn)
    shared_count = int(config.get("n_shared_experts") or config.get("moe_num_shared_experts") or 0)
    shared = int(config.get("shared_expert_intermediate_size") or shared_count * width)
    dense = int(config.get("first_k_dense_replace") or 0) + len(config.get("mlp_only_layers") or ())
    dense += int(config.get("moe_layer_start_index") or 0)
    if kind == "llama4_text":  # a shared expert beside the routed ones, in every so many layers
        width = shared = int(config["intermediate_size"])
        every = int(config.get("interleave_moe_layer_step") or 1)
        dense = shape.layers - len(config.get("moe_layers") or range(shape.layers // every))
    return Experts(
        count=int(count),
        active=int(active),
        ffn=width,
        shared_ffn=shared,
        dense_layers=dense,
        node_limit=int(config.get("topk_group") or 0) if int(config.get("n_group") or 0) > 1 else 0,
        router_bias=kind in ("deepseek_v3", "gpt_oss", "kimi_k2", "glm4_moe"),
        shared_gate=kind == "qwen2_moe",
    )


def _positions(config: Mapping[str, Any], kind: str) -> int:
    if kind in _LEARNED_POSITIONS:
        return int(config.get("n_positions") or config.get("max_position_embeddings") or 1024)
    if kind == "opt":
        return int(config["max_position_embeddings"]) + 2  # OPT keeps two rows before the first position
    return 0


def _number(config: Mapping[str, Any], keys: tuple[str, ...], name: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if value is not None:
            raise DanluError(
                f"{key} in the configuration of {name} is {value!r}.", "It is a whole number, as published."
            )
    raise DanluError(f"the configuration of {name} has no {keys[0]}.", "Give the config.json of a decoder-only model.")


@cache
def _labels() -> dict[str, str]:
    """Names and aliases of the models, with the name that each means."""
    return entry_labels(_blocks(), _plain)


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name.lower())
