"""A model folder, ready to generate from."""

from pathlib import Path

from danlu.common.files import read_json
from danlu.generation.decoder import Decoder
from danlu.generation.generate import Generator
from danlu.generation.text import stop_tokens
from danlu.hardware.device import Precision, choose_device, compute_dtype
from danlu.model.huggingface import load_pretrained
from danlu.tokens.tokenizer import load_tokenizer


def load_generator(folder: Path, device: str = "auto", precision: Precision = "auto") -> Generator:
    """Read a model folder (Qwen3, Qwen2 or Llama) with its tokenizer.

    Args:
        device: `auto` or torch's name of a device.
        precision: of the arithmetic; `auto` takes bfloat16 where the device has it.

    Raises:
        DanluError: the folder or the device cannot be used.
    """
    config, state = load_pretrained(folder)
    place = choose_device(device)
    decoder = Decoder(
        config, {name: tensor.to(place) for name, tensor in state.items()}, compute_dtype(place, precision)
    )
    tokenizer = load_tokenizer(folder)
    return Generator(decoder, tokenizer, _stop_tokens(folder) or stop_tokens(tokenizer))


def _stop_tokens(folder: Path) -> list[int]:
    """The tokens that the folder itself names as ends."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            named = read_json(folder / name).get("eos_token_id")
            if named is not None:
                return named if isinstance(named, list) else [named]
    return []
