"""The recipe: one tree of settings for a whole run, composed from the rooms' own configurations."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from danlu.alignment.road_config import AlignmentConfig, Label, seeded
from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.common.strict import from_mapping, to_mapping
from danlu.corpus.config import CorpusConfig
from danlu.generation.config import SamplingConfig
from danlu.pipeline.budget import parse_budget
from danlu.pipeline.toml import dump_toml
from danlu.scaling.config import ForecastConfig, LadderConfig
from danlu.tokens.config import TokensConfig
from danlu.training.config import TrainingConfig

DEFAULT_BUDGET = "3e13flops,3min"
"""The quickstart's: what two cores with AMX do in less than three minutes; a slower machine does a part of it."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run."""

    name: str | None = None
    """What the run is called; by default the recipe file's name, or the data's, or `quickstart`."""
    out: str | None = None
    """The run folder; by default runs/NAME."""
    seed: int | None = None
    """Sets every seed below at once (corpus.toy.seed, training.seed, sampling.seed, alignment's)."""
    budget: str = DEFAULT_BUDGET
    """The target's training compute in FLOPs (1e14flops; the ladder takes at most a tenth of it on top), or the time of
    all pretraining on this machine (10min), which is turned into FLOPs once, by its measured speed; or both with a
    comma between, of which the tighter one counts."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Where the text comes from."""
    tokens: TokensConfig = field(default_factory=TokensConfig)
    """How it is cut into tokens."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How the small models and the target are trained."""
    ladder: LadderConfig = field(default_factory=LadderConfig)
    """Which small models are trained for the forecast."""
    forecast: ForecastConfig = field(default_factory=ForecastConfig)
    """How the law is fitted and the interval made."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How the samples of the trained target are drawn."""
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    """How the target becomes an assistant."""

    def __post_init__(self) -> None:
        parse_budget(self.budget)

    @property
    def limits(self) -> tuple[Duration, ...]:
        """The budget's limits."""
        return parse_budget(self.budget)

    @property
    def seeds(self) -> dict[str, int]:
        """Every seed of the run, by its key."""
        return {
            "corpus.toy.seed": self.corpus.toy.seed,
            "training.seed": self.training.seed,
            "sampling.seed": self.sampling.seed,
            "alignment.labeller.seed": self.alignment.labeller.seed,
            "alignment.sft.seed": self.alignment.sft.seed,
            "alignment.reward.seed": self.alignment.reward.seed,
            "alignment.ppo.seed": self.alignment.ppo.seed,
        }

    @property
    def label(self) -> Label:
        """Who ranks, `auto` decided."""
        alignment = self.alignment
        if alignment.label != "auto":
            return alignment.label
        return "simulated" if self.corpus.data == ("toy",) and alignment.demonstrations is None else "none"

    @property
    def fine_tunes(self) -> bool:
        """Whether there are demonstrations: a user's, or the toy language's own."""
        own = self.corpus.data == ("toy",) and self.label != "none"
        return self.alignment.demonstrations is not None or own

    @property
    def learns_from_rankings(self) -> bool:
        """Whether there are rankings, or somebody who makes some."""
        return self.fine_tunes and (self.alignment.rankings is not None or self.label != "none")


def resolve(recipe: Recipe, default_name: str) -> Recipe:
    """Fill in what a recipe leaves open: the name, and the rooms' seeds where one seed is given for all."""
    name = recipe.name or default_name
    if recipe.seed is None:
        return replace(recipe, name=name)
    return replace(
        recipe,
        name=name,
        seed=None,
        corpus=replace(recipe.corpus, toy=replace(recipe.corpus.toy, seed=recipe.seed)),
        training=replace(recipe.training, seed=recipe.seed),
        sampling=replace(recipe.sampling, seed=recipe.seed),
        alignment=seeded(recipe.alignment, recipe.seed),
    )


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        DanluError: no such file, not TOML, an unknown key (with the nearest valid one) or a wrong value.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DanluError(f"there is no recipe {path}.", "Check the path; recipes/ has examples.") from error
    except OSError as error:
        raise DanluError(
            f"cannot read the recipe {path}: {error.strerror}.", "Check the file's permissions."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DanluError(f"{path} is not TOML: {error}.", "Correct that place; recipes/ has examples.") from error
    return from_mapping(Recipe, data, str(path))


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a resolved recipe. The folder it belongs to is where it lies, so `out` is left out."""
    header = "The resolved recipe of this run: every setting, defaults included."
    write_atomic(path, dump_toml(to_mapping(replace(recipe, out=None)), header))


_INDIFFERENT = ("checkpoint_seconds", "keep_checkpoints", "samples", "executor", "workers")


def deciding(settings: TrainingConfig | LadderConfig) -> dict[str, Any]:
    """The settings that decide what comes out, without those that only say when it is saved or shown and where it is
    made."""
    everything: dict[str, Any] = to_mapping(settings)
    return {key: value for key, value in everything.items() if key not in _INDIFFERENT}


def differences(before: Any, now: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """Where two plain trees (of mappings, lists, scalars) differ: dotted key, value before, value now.

    A key that is absent counts as None.
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for key in dict.fromkeys((*before, *now)):
            found += differences(before.get(key), now.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if before == now else [(where or "all of it", before, now)]
