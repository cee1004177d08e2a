"""The models that are served: found at once, loaded in threads of their own, so that the server answers meanwhile."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from danlu.common.files import read_json
from danlu.generation.config import SamplingConfig
from danlu.web.memory import release_libraries
from danlu.web.template import ChatTemplate, served_template

if TYPE_CHECKING:
    from danlu.generation.engine import Engine
    from danlu.generation.generate import Generator

State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True)
class Default:
    """A sampling setting that holds where a request says nothing."""

    value: float
    source: str
    """Where it comes from: a file's name, or `danlu`."""


@dataclass
class Loaded:
    """A model in memory."""

    engine: "Engine"
    generator: "Generator"
    markup: Any
    """A `Tokenizer` that reads special tokens spelled out in a text, as chat templates need."""
    special: set[str]
    """The special tokens."""


class ServedModel:
    """A model folder and, once it is loaded, its engine.

    Args:
        name: under which clients ask for it.
        folder: the model folder.
        source: what was named on the command line.
        load: makes the engine; takes seconds.
    """

    def __init__(self, name: str, folder: Path, source: Path, load: Callable[["ServedModel"], Loaded]) -> None:
        self.name, self.folder, self.source = name, folder, source
        config: Mapping[str, Any] = read_json(folder / "config.json")
        self.context = int(config.get("max_position_embeddings") or 0)
        """Longest sequence (tokens)."""
        self.kind = str(config.get("model_type", ""))
        self.created = int((folder / "config.json").stat().st_mtime)
        self.template: ChatTemplate | None = served_template(folder)
        """None: a base model, which only continues texts."""
        self.defaults = sampling_defaults(folder)
        self.loaded: Future[Loaded] = Future()
        self._load = load

    @property
    def state(self) -> State:
        """Whether it can answer."""
        if not self.loaded.done():
            return "loading"
        return "failed" if self.loaded.exception() else "ready"

    @property
    def error(self) -> str | None:
        """Why it cannot answer."""
        failure = self.loaded.exception() if self.loaded.done() else None
        return None if failure is None else str(failure)

    def load(self) -> None:
        """Read the weights and start the engine; called once, in any thread."""
        try:
            self.loaded.set_result(self._load(self))
        except BaseException as error:  # noqa: BLE001 (whoever waits for the model is told)
            self.loaded.set_exception(error)


class ServedModels:
    """All models of a server."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.by_name = {model.name: model for model in models}
        self.told: Callable[[ServedModel], None] = lambda model: None
        """Called for each model that is loaded or has failed."""

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self.by_name.values())

    def start(self) -> None:
        """Load them one after another in a thread."""

        def load() -> None:
            if self.by_name:
                release_libraries()
            for model in self:
                model.load()
                self.told(model)

        threading.Thread(target=load, name="loading", daemon=True).start()

    def get(self, name: str) -> ServedModel | None:
        """A model by its name."""
        return self.by_name.get(name)

    def engines(self) -> "list[Engine]":
        """Those that run."""
        return [model.loaded.result().engine for model in self if model.state == "ready"]

    def steps(self) -> int:
        """Steps of all engines so far."""
        return sum(each.stats.steps for each in self.engines())

    def close(self) -> None:
        """Stop the engines."""
        for engine in self.engines():
            engine.close()


def find_models(paths: Sequence[Path], folder_of: Callable[[Path], Path], load: Callable[..., Loaded]) -> ServedModels:
    """The models that some paths mean, each under a name of its own.

    Args:
        folder_of: which model folder a path means.

    Raises:
        DanluError: a path means no model.
    """
    models: list[ServedModel] = []
    for path in paths:
        folder = folder_of(path)
        name = _name(path.resolve())
        taken = {model.name for model in models}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        models.append(ServedModel(unique, folder, path, load))
    return ServedModels(models)


def _name(path: Path) -> str:
    """runs/mine -> mine; runs/mine/sft/model -> mine-sft; models/small -> small."""
    parts = [part for part in path.parts if part != "/"]
    if parts and parts[-1] == "model" and len(parts) > 1:
        parts = parts[:-1]
        return "-".join(parts[-2:]) if len(parts) > 1 else parts[-1]
    return parts[-1] if parts else "model"


def load_model(
    model: ServedModel,
    device: str = "auto",
    precision: Literal["auto", "bf16", "fp32"] = "auto",
    queue_length: int = 1024,
) -> Loaded:
    """Read a model's weights and start its engine. Imports torch, which takes a second or more."""
    from danlu.generation.engine import Engine, EngineConfig
    from danlu.generation.load import load_generator
    from danlu.tokens.tokenizer import load_tokenizer

    generator = load_generator(model.folder, device, precision)
    settings = EngineConfig(queue_length=queue_length)
    added = generator.tokenizer.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special}
    return Loaded(Engine(generator, settings), generator, load_tokenizer(model.folder, markup=True), special)


_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def sampling_defaults(folder: Path) -> dict[str, Default]:
    """The sampling settings that hold where a request says nothing, with their sources.

    They come from the model's own generation_config.json; what it leaves out, from danlu.
    """
    own = SamplingConfig()
    fallback = {
        "temperature": own.temperature,
        "top_p": own.top_p,
        "top_k": own.top_k,
        "min_p": own.min_p,
        "repetition_penalty": 1.0,
    }
    file = folder / "generation_config.json"
    said: Mapping[str, Any] = read_json(file) if file.is_file() else {}
    found = {}
    for name in _SAMPLING:
        value = said.get(name)
        if name == "temperature" and said.get("do_sample") is False:
            value = 0.0  # `transformers` decodes greedily then
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = Default(value, file.name)
        else:
            found[name] = Default(fallback[name], "danlu")
    return found


def describe(model: ServedModel) -> list[str]:
    """What the terminal says about a model before it is loaded."""
    settings = ", ".join(f"{name} {default.value:g} ({default.source})" for name, default in model.defaults.items())
    kind = "chats" if model.template else "a base model: it continues texts"
    return [
        f"model {model.name}: {model.folder} ({model.kind}, context {model.context:,} tokens; {kind})",
        f"  sampling where a request says nothing: {settings}",
    ]
