"""`danlu export`: a model folder for other programs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import new_folder, parse
from danlu.common.progress import Progress


@dataclass(frozen=True)
class Arguments:
    """Write a model as transformers, vLLM and others read it, tokenizer included."""

    model: tyro.conf.Positional[Path]
    """A model folder, or a run folder."""
    out: tyro.conf.Positional[Path | None] = None
    """The folder to write; by default exports/NAME, after the run."""
    dtype: Literal["stored", "fp32", "bf16"] = "stored"
    """Format of the weights in the file; `stored` leaves it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "export")
    folder = model_folder(arguments.model, assistant=True)
    out = new_folder(arguments.out or Path("exports") / _name(folder.resolve()))
    import torch

    from danlu.model.huggingface import load_pretrained, save_pretrained

    config, weights = load_pretrained(folder)
    stored = next(iter(weights.values())).dtype
    dtype = {"stored": stored, "fp32": torch.float32, "bf16": torch.bfloat16}[arguments.dtype]
    save_pretrained(config, weights, folder, out, dtype, chat=(folder / "chat_template.jinja").exists())
    report = Progress()
    report(f"wrote {out}")
    report(f'  AutoModelForCausalLM.from_pretrained("{out}")')
    report(f'  AutoTokenizer.from_pretrained("{out}")')


def _name(folder: Path) -> str:
    """What to call a model: after its run, or its own folder."""
    in_run = folder.name == "model" and folder.parent.name in ("pretrain", "align")
    return folder.parents[1].name if in_run else folder.name
