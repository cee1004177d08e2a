"""The prompts that a run has of its own: what people can be asked about without writing prompts first."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.feedback.records import prompt_text
from danlu.pipeline.folder import RunFolder

if TYPE_CHECKING:
    from danlu.pipeline.recipe import Recipe


@dataclass(frozen=True)
class ServedRun:
    """The run whose people's feedback this server collects."""

    path: Path
    """Its folder."""
    feedback: str
    """Its store."""

    def told(self) -> dict[str, str]:
        """What the annotation page says of it, with the command that learns from what was labelled there."""
        command = ["danlu", "align", str(self.path), "--demonstrations", self.feedback, "--label", "page"]
        return {"name": self.path.resolve().name, "command": shlex.join(command)}

    def prompts(self, count: int, besides: Collection[str]) -> list[str]:
        """Prompts to demonstrate answers to, none of which is kept for judging.

        Args:
            besides: prompts that are not wanted again.

        Raises:
            DanluError: the run has no prompts of its own.
        """
        # A page shows several prompts with empty lines between them.
        new = (text for text in self._every() if text not in besides and "\n\n" not in text)
        found = list(islice(new, count))
        if not found:
            raise DanluError("the run has no further prompts of its own.", "Write some, or upload a file of prompts.")
        return found

    def _every(self) -> Iterator[str]:
        from danlu.pipeline.recipe import read_recipe

        folder = RunFolder(self.path)
        recipe = read_recipe(folder.recipe)
        if recipe.corpus.data == ("toy",):
            yield from _of_the_toy_language(folder, recipe)
        elif (folder.demonstrations / "comparisons.jsonl").is_file():
            from danlu.alignment.queries import distinct, read_queries

            for query in distinct(read_queries(folder.demonstrations / "comparisons.jsonl")):
                yield prompt_text(query.prompt)


def _of_the_toy_language(folder: RunFolder, recipe: "Recipe") -> Iterator[str]:
    from danlu.alignment.prompts import demonstrated_prompts
    from danlu.alignment.road_config import sized
    from danlu.pipeline.aligning import fits_the_context

    config = recipe.alignment
    if folder.budget.is_file():
        budget: dict[str, Any] = read_json(folder.budget)
        config = sized(config, budget["flops"])  # decides which prompts are kept for judging
    fits = fits_the_context(folder.model, config.context, config.ppo.max_new_tokens)
    yield from demonstrated_prompts(recipe.corpus.toy, config.prompts, fits)
