"""Model folders in Hugging Face's layout, out and in: what we write loads unchanged in `transformers` 4 and 5, and what
we cannot compute exactly is refused by name.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from danlu.common.errors import DanluError
from danlu.common.files import folder_atomic, read_json, write_atomic, write_json
from danlu.model.config import ModelConfig
from danlu.tokens.chat import CHAT_TEMPLATE
from danlu.tokens.tokenizer import END_OF_TEXT, MESSAGE_END, load_tokenizer

Head = Literal["lm_head", "score"]
_FAMILIES = {"qwen3": "Qwen3", "qwen2": "Qwen2", "llama": "Llama"}
_CLASSES: dict[Head, dict[str, str]] = {
    "lm_head": {family: f"{name}ForCausalLM" for family, name in _FAMILIES.items()},
    "score": {family: f"{name}ForSequenceClassification" for family, name in _FAMILIES.items()},
}
_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
# The oldest release with Qwen3 whose files these are; newer ones rewrite older files as they read them.
_TRANSFORMERS_VERSION = "4.57.6"
_SHARD_BYTES = 5_000_000_000
_INDEX = "model.safetensors.index.json"
# Kept by old checkpoints, computed anew by every reader.
_IGNORED = re.compile(r".*\.rotary_emb\.inv_freq")


def save_pretrained(
    config: ModelConfig,
    state_dict: Mapping[str, Tensor],
    tokenizer_folder: Path,
    out: Path,
    dtype: torch.dtype,
    chat: bool = False,
    shard_bytes: int = _SHARD_BYTES,
    template: str | None = None,
    head: Head = "lm_head",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder: config.json, generation_config.json, weights, tokenizer and, for chat, the template.

    The folder appears whole or not at all; an older model folder of that name is replaced.

    Args:
        state_dict: tensors on any device under the names of Qwen3ForCausalLM; a tied head may be there or not.
        tokenizer_folder: holds tokenizer.json, and perhaps tokenizer_config.json and chat_template.jinja.
        dtype: of the weights in the file.
        chat: whether the model was taught to chat: it then ends its turn with <|im_end|> and has a template.
        shard_bytes: weights beyond this many bytes go into several files with an index.
        template: the chat template, in place of the tokenizer folder's own.
        head: what stands on the decoder: the table of a language model, or the scalar head of a score model.
        extra: further keys of config.json.

    Raises:
        DanluError: `out` is a folder of something else, the disk is full, or the tokenizer has no end-of-text token.
    """
    if out.exists() and not (out / "config.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise DanluError(f"{out} exists and is not a model folder.", "Name another place for the model.")
    tokenizer = load_tokenizer(tokenizer_folder)
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise DanluError(
            f"the tokenizer in {tokenizer_folder} knows {tokenizer.get_vocab_size()} tokens, the model"
            f" {config.vocab_size}.",
            "Use the tokenizer that the model was trained with.",
        )
    settings = _tokenizer_settings(tokenizer_folder, config, chat)
    if template is not None:
        settings["chat_template"] = template
    ids = _special_ids(tokenizer, tokenizer_folder, settings, chat)
    with folder_atomic(out) as folder:
        named = {"architectures": [_CLASSES[head][config.model_type]]}
        write_json(folder / "config.json", _config_json(config, dtype) | named | ids | dict(extra or {}))
        if head == "lm_head":
            write_json(folder / "generation_config.json", _generation_json(ids, tokenizer.token_to_id(END_OF_TEXT)))
        _save_weights(tensor_shapes(config, head), state_dict, folder, dtype, shard_bytes)
        shutil.copyfile(tokenizer_folder / "tokenizer.json", folder / "tokenizer.json")
        if chat:  # the file for readers of today, the string in the settings for older ones
            write_atomic(folder / "chat_template.jinja", settings["chat_template"])
        write_json(folder / "tokenizer_config.json", settings)


def load_pretrained(folder: Path, head: Head = "lm_head") -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a Qwen3, Qwen2 or Llama folder.

    Args:
        head: what must stand on the decoder: the table of a language model, or the scalar head of a score model.

    Returns:
        The shape, and the tensors as stored (on the processor, in the file's dtype); without `lm_head.weight` where the
        head is tied.

    Raises:
        DanluError: another family, a feature that this model cannot compute, missing or misshapen or unknown tensors.
    """
    path = folder / "config.json"
    data = read_json(path)
    config = parse_config(data, str(path))
    _require_head(data, head, folder)
    expected = tensor_shapes(config, head)
    state: dict[str, Tensor] = {}
    spare_head: Tensor | None = None
    for name, tensor in _stored_tensors(folder):
        if name == "lm_head.weight" and config.tie_word_embeddings and head == "lm_head":
            spare_head = tensor
        elif name not in expected:
            if not _IGNORED.fullmatch(name):
                raise DanluError(
                    f"{folder}: {name} is no part of a {config.model_type} model.", "Give a plain causal model."
                )
        elif tuple(tensor.shape) != expected[name]:
            raise DanluError(
                f"{folder}: {name} is {tuple(tensor.shape)}, not {expected[name]} as config.json says.",
                "Give a folder whose files belong together.",
            )
        elif not tensor.is_floating_point() or tensor.element_size() < 2:
            raise DanluError(
                f"{folder}: {name} is stored as {tensor.dtype}.", "Quantised weights cannot be read; give bf16."
            )
        else:
            state[name] = tensor
    if missing := [name for name in expected if name not in state]:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DanluError(f"{folder}: tensor {missing[0]}{others} is missing.", "Copy or download the folder again.")
    if spare_head is not None and not torch.equal(spare_head, state["model.embed_tokens.weight"]):
        raise DanluError(
            f"{folder}: config.json ties the head to the embedding, but the file's lm_head.weight differs from it.",
            "Set tie_word_embeddings to false in config.json if the head was trained apart.",
        )
    return config, state


def _require_head(data: Mapping[str, Any], head: Head, folder: Path) -> None:
    """Refuse a language model where a reward model is wanted, and the other way round, by name."""
    named = (data.get("architectures") or [""])[0]
    if head == "lm_head" and named.endswith("ForSequenceClassification"):
        raise DanluError(
            f"{folder} is a reward model ({named}), and a language model is wanted.", "Give the model that speaks."
        )
    if head == "score" and not named.endswith("ForSequenceClassification"):
        raise DanluError(
            f"{folder} is no reward model ({named or 'it names no architecture'}).",
            "Train one: danlu reward MODEL --data RANKINGS --out DIR.",
        )
    if head == "score" and len(data.get("id2label") or {"0": ""}) != 1:
        raise DanluError(
            f"{folder} sorts into {len(data['id2label'])} classes.", "Give a model with one label, a score."
        )


def tensor_shapes(config: ModelConfig, head: Head = "lm_head") -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model of this shape."""
    width, inner, q_size, kv_size = config.hidden_size, config.intermediate_size, config.q_size, config.kv_size
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config.vocab_size, width)}
    for layer in range(config.num_hidden_layers):
        block = {
            "input_layernorm.weight": (width,),
            "self_attn.q_proj.weight": (q_size, width),
            "self_attn.k_proj.weight": (kv_size, width),
            "self_attn.v_proj.weight": (kv_size, width),
            "self_attn.o_proj.weight": (width, q_size),
            "post_attention_layernorm.weight": (width,),
            "mlp.gate_proj.weight": (inner, width),
            "mlp.up_proj.weight": (inner, width),
            "mlp.down_proj.weight": (width, inner),
        }
        if config.attention_bias:
            block |= {
                f"self_attn.{name}_proj.bias": (size,)
                for name, size in zip("qkv", (q_size, kv_size, kv_size), strict=True)
            }
        if config.qk_norm:
            block |= {f"self_attn.{name}_norm.weight": (config.head_dim,) for name in "qk"}
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in block.items()}
    shapes["model.norm.weight"] = (width,)
    if head == "score":
        shapes["score.weight"] = (1, width)
    elif not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, width)
    return shapes


def parse_config(data: Mapping[str, Any], source: str) -> ModelConfig:
    """The shape that a config.json describes, in the spelling of `transformers` 4 or 5.

    Raises:
        DanluError: the family is unknown or a feature is asked for that this model does not have.
    """
    family = data.get("model_type")
    if family not in _FAMILIES:
        raise DanluError(f"{source}: model_type {family!r} is not supported.", f"Supported are {', '.join(_FAMILIES)}.")

    def number(key: str, default: int | None = None) -> int:
        value = data.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or value <= 0:
            raise DanluError(f"{source}: {key} is {value!r}, not a count.", "Give the model's own config.json.")
        return value

    _refuse_other_features(data, source)
    width, heads = number("hidden_size"), number("num_attention_heads")
    # Qwen3 leaves nothing to guess, for its readers' defaults are those of one size of it.
    kv_heads = number("num_key_value_heads", None if family == "qwen3" else heads)
    head_dim = number("head_dim", None if family == "qwen3" else width // heads)
    return ModelConfig(
        vocab_size=number("vocab_size"),
        hidden_size=width,
        intermediate_size=number("intermediate_size"),
        num_hidden_layers=number("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=number("max_position_embeddings"),
        rope_theta=_rope_theta(data, source),
        rms_norm_eps=float(data.get("rms_norm_eps", 1e-6)),
        tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
        qk_norm=family == "qwen3",
        attention_bias=family == "qwen2",
        model_type=cast(Literal["qwen3", "qwen2", "llama"], family),
    )


def _refuse_other_features(data: Mapping[str, Any], source: str) -> None:
    plain: dict[str, tuple[Any, ...]] = {
        "hidden_act": (None, "silu"),
        "attention_bias": (None, False),  # in these families it would add one to the output projection too
        "mlp_bias": (None, False),
        "quantization_config": (None,),
        "partial_rotary_factor": (None, 1.0),
    }
    asked = {key: data.get(key) for key, allowed in plain.items() if data.get(key) not in allowed}
    if kinds := data.get("layer_types"):
        if set(kinds) != {"full_attention"}:
            asked["layer_types"] = kinds
    elif data.get("use_sliding_window") and data.get("max_window_layers", 0) < data.get("num_hidden_layers", 0):
        asked["use_sliding_window"] = True
    for key, value in asked.items():
        raise DanluError(f"{source}: {key} = {value!r} is not supported.", "Give a model without it.")


def _rope_theta(data: Mapping[str, Any], source: str) -> float:
    """The base of the rotary frequencies, which may stand in two places; any scaling of them is refused."""
    found = set()
    for key in ("rope_parameters", "rope_scaling"):
        rope = data.get(key) or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default" or rope.get("partial_rotary_factor") not in (None, 1.0):
            raise DanluError(
                f"{source}: {key} asks for {kind!r} rotary positions, which are not supported.",
                "Give a model with plain rotary positions.",
            )
        if unknown := rope.keys() - {"rope_type", "type", "rope_theta", "partial_rotary_factor"}:
            raise DanluError(
                f"{source}: {key} has an unknown {min(unknown)!r}.", "Give a model with plain rotary positions."
            )
        if "rope_theta" in rope:
            found.add(float(rope["rope_theta"]))
    if data.get("rope_theta") is not None:
        found.add(float(data["rope_theta"]))
    if len(found) > 1:
        raise DanluError(
            f"{source}: rope_theta is given as {' and as '.join(map(str, sorted(found)))}.", "Correct the file."
        )
    return found.pop() if found else 10000.0  # what all readers of these families assume


def _config_json(config: ModelConfig, dtype: torch.dtype) -> dict[str, Any]:
    if (config.qk_norm, config.attention_bias) != (config.model_type == "qwen3", config.model_type == "qwen2"):
        raise ValueError(
            f"no {config.model_type} model has qk_norm={config.qk_norm}, attention_bias={config.attention_bias}"
        )
    shape = {
        "model_type": config.model_type,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.rms_norm_eps,
        # transformers 4 reads the first and, without it, silently takes 10000; transformers 5 reads the second.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tie_word_embeddings,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "use_cache": True,
        "dtype": _DTYPES[dtype],
        "torch_dtype": _DTYPES[dtype],
        "transformers_version": _TRANSFORMERS_VERSION,
    }
    if config.model_type != "qwen2":
        shape["attention_bias"] = False
    if config.model_type == "llama":
        return shape | {"mlp_bias": False}
    return shape | {
        "layer_types": ["full_attention"] * config.num_hidden_layers,
        "max_window_layers": config.num_hidden_layers,
        "sliding_window": None,
        "use_sliding_window": False,
    }


def _tokenizer_settings(tokenizer_folder: Path, config: ModelConfig, chat: bool) -> dict[str, Any]:
    """tokenizer_config.json: what stands beside the tokenizer, with a class that changes no id in any reader."""
    path = tokenizer_folder / "tokenizer_config.json"
    settings: dict[str, Any] = read_json(path) if path.is_file() else {"eos_token": END_OF_TEXT}
    settings.pop("auto_map", None)
    own_template = settings.pop("chat_template", None)
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.max_position_embeddings}
    settings.setdefault("clean_up_tokenization_spaces", False)
    # Without it transformers 4 adds token types, which these models refuse.
    settings.setdefault("model_input_names", ["input_ids", "attention_mask"])
    if chat:
        file = tokenizer_folder / "chat_template.jinja"
        settings["chat_template"] = (
            file.read_text(encoding="utf-8") if file.is_file() else own_template or CHAT_TEMPLATE
        )
    return settings


def _special_ids(tokenizer: Tokenizer, folder: Path, settings: dict[str, Any], chat: bool) -> dict[str, int | None]:
    """Ids for config.json; the end token of a chat model is set in the settings too."""

    def name(key: str) -> str | None:
        token = settings.get(key)
        return token.get("content") if isinstance(token, dict) else token

    def id_of(token: str | None) -> int | None:
        found: int | None = None if token is None else tokenizer.token_to_id(token)
        return found

    if chat and id_of(MESSAGE_END) is not None:
        settings["eos_token"] = MESSAGE_END
    eos = id_of(name("eos_token"))
    if eos is None:
        raise DanluError(f"the tokenizer in {folder} has no end-of-text token.", f"Give one with {END_OF_TEXT}.")
    # A document of ours begins behind the end of another, so that token is what an empty prompt starts from.
    start = id_of(name("bos_token"))
    start = id_of(END_OF_TEXT) if start is None else start
    return {"bos_token_id": start, "eos_token_id": eos, "pad_token_id": id_of(name("pad_token"))}


def _generation_json(ids: dict[str, int | None], end_of_text: int | None) -> dict[str, Any]:
    """generation_config.json, from which readers such as vLLM take their default sampling."""
    stop = list(dict.fromkeys(i for i in (ids["eos_token_id"], end_of_text) if i is not None))
    sampling = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "transformers_version": _TRANSFORMERS_VERSION}
    return ids | {"eos_token_id": stop if len(stop) > 1 else stop[0]} | sampling


def _save_weights(
    shapes: Mapping[str, tuple[int, ...]],
    state_dict: Mapping[str, Tensor],
    folder: Path,
    dtype: torch.dtype,
    shard_bytes: int,
) -> None:
    wrong = [name for name, shape in shapes.items() if name not in state_dict or tuple(state_dict[name].shape) != shape]
    if wrong:
        raise ValueError(f"tensor {wrong[0]} is missing or not of shape {shapes[wrong[0]]}")
    shards: list[list[str]] = [[]]
    total = filled = 0
    for name in shapes:
        size = state_dict[name].numel() * dtype.itemsize
        if filled and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled, total = filled + size, total + size
    places: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {name: _own_copy(state_dict[name], dtype) for name in names}
        with _safetensors_errors(folder / file):
            save_file(tensors, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    if len(shards) > 1:
        write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _own_copy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """On the processor, contiguous, in memory of its own (safetensors refuses two names for one memory)."""
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


def _stored_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    if (folder / _INDEX).is_file():
        files = sorted(set(read_json(folder / _INDEX)["weight_map"].values()))
    elif (folder / "model.safetensors").is_file():
        files = ["model.safetensors"]
    elif any(folder.glob("*.bin")):
        raise DanluError(
            f"{folder} holds its weights as pickle, which can run any code.", "Convert it to safetensors first."
        )
    else:
        raise DanluError(f"there is no model.safetensors in {folder}.", "Give a model folder.")
    for file in files:
        if not (folder / file).is_file():
            raise DanluError(f"there is no {file} in {folder}.", "Copy or download the folder again.")
        with _safetensors_errors(folder / file), safe_open(folder / file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no mapping)
                yield name, tensors.get_tensor(name)


@contextlib.contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    """Its errors as the system's (so that a full disk is told as such), or as a damaged file."""
    try:
        yield
    except SafetensorError as error:
        if code := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(code[1]), str(error)) from error
        raise DanluError(f"{path} is damaged: {error}.", "Copy or download it again, or write it anew.") from error
