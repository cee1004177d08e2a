"""`danlu generate`: continue prompts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.generation.config import SamplingConfig


@dataclass(frozen=True)
class Arguments:
    """Continue prompts with a trained model."""

    model: tyro.conf.Positional[Path]
    """A model folder, or a run folder."""
    prompt: tuple[str, ...] = ("",)
    """Texts to continue; an empty one starts a new document."""
    json: Path | None = None
    """Write the continuations to this file, with tokens and log-probabilities."""
    sampling: Annotated[SamplingConfig, tyro.conf.arg(name="")] = field(default_factory=SamplingConfig)
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "generate")
    folder = model_folder(arguments.model)
    from danlu.generation.load import load_generator

    generator = load_generator(folder, arguments.device, arguments.precision)
    report = Progress()
    if len(arguments.prompt) == 1 and not arguments.json:
        print(arguments.prompt[0], end="", flush=True)
        for piece in generator.stream(arguments.prompt[0], arguments.sampling):
            print(piece, end="", flush=True)
        print()
        return
    generations = generator.generate(arguments.prompt, arguments.sampling)
    for number, (prompt, generation) in enumerate(zip(arguments.prompt, generations, strict=True)):
        if number:
            report("-" * 40)
        report(prompt + generation.text)
    if arguments.json:
        pairs = zip(arguments.prompt, generations, strict=True)
        write_json(arguments.json, [{"prompt": prompt, **to_mapping(generation)} for prompt, generation in pairs])
        report(f"wrote {arguments.json}")
