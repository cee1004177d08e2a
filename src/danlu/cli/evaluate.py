"""`danlu evaluate`: the loss of a model on text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.corpus.config import CorpusConfig


@dataclass(frozen=True)
class Arguments:
    """Measure loss and bits a byte on text that the model has not seen, in total and by source."""

    model: tyro.conf.Positional[Path]
    """A model folder, or a run folder."""
    data: tuple[str, ...] = ()
    """Files, folders, globs, toy, stdlib or hf:NAME; for a run folder, its own held-out text by default."""
    text_field: str = "text"
    """Name of the field that holds the text in jsonl, parquet and Hugging Face records; where files differ, several
    with commas between them."""
    json: Path | None = None
    """Write the figures to this file."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "evaluate")
    folder, run_tokens = model_folder(arguments.model), arguments.model / "tokens"
    if not arguments.data and not run_tokens.is_dir():
        raise DanluError("there is no text to evaluate on.", "Give some with --data FILES.")
    from danlu.pipeline.judging import evaluate_data, evaluate_heldout

    report, device, precision = Progress(), arguments.device, arguments.precision
    if arguments.data:
        data = CorpusConfig(data=arguments.data, text_field=arguments.text_field)
        result = evaluate_data(folder, data, device, precision, report)
    else:
        result = evaluate_heldout(folder, run_tokens, device, precision)
    report.clear()
    rows = [(part.source, part.loss, part.bits_per_byte, part.tokens) for part in result.by_source]
    for name, loss, bits, tokens in (*rows, ("in total", result.loss, result.bits_per_byte, result.tokens)):
        report(f"{name}: {loss:.4f} nats a token, {bits:.4f} bits a byte ({tokens:,} tokens)")
    if arguments.json:
        write_json(arguments.json, to_mapping(result))
        report(f"wrote {arguments.json}")
