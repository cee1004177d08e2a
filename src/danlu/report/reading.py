"""The run folder as the report sees it: every file optional, nothing in it trusted."""

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.remark import Remark
from danlu.report.language import Text, printable, same, tr


@dataclass(frozen=True)
class Record:
    """A JSON object of unknown content: what is missing, or is not of the type asked for, reads as None or empty."""

    data: Mapping[str, Any]
    """The object as parsed."""

    def __bool__(self) -> bool:
        return bool(self.data)

    def _at(self, path: tuple[str, ...]) -> Any:
        value: Any = self.data
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def number(self, *path: str) -> float | None:
        """A finite number at the path."""
        value = self._at(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def text(self, *path: str) -> str | None:
        """A string at the path."""
        value = self._at(path)
        return value if isinstance(value, str) else None

    def flag(self, *path: str) -> bool | None:
        """True or false at the path."""
        value = self._at(path)
        return value if isinstance(value, bool) else None

    def record(self, *path: str) -> "Record":
        """The object at the path, or an empty one."""
        value = self._at(path)
        return Record(value if isinstance(value, Mapping) else {})

    def records(self, *path: str) -> tuple["Record", ...]:
        """The objects in the list at the path."""
        value = self._at(path)
        return tuple(Record(item) for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()

    def texts(self, *path: str) -> tuple[str, ...]:
        """The strings in the list at the path."""
        value = self._at(path)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def remarks(self, *path: str) -> tuple[Text, ...]:
        """What stands in the list at the path, or alone there, as sentences: remarks in both languages, and words as
        they are."""
        value = self._at(path)
        said = []
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, str):
                said.append(same(item))
            elif isinstance(item, Mapping) and isinstance(item.get("key"), str):
                figures = Record(item).record("figures")
                numbers = {name: number for name, _ in figures.items() if (number := figures.number(name)) is not None}
                words = {name: word for name, _ in figures.items() if (word := figures.text(name)) is not None}
                remark = Remark(item["key"], {**numbers, **words})
                said.append(Text(printable(remark.say("en")), printable(remark.say("zh"))))
        return tuple(said)

    def items(self, *path: str) -> Iterator[tuple[str, Any]]:
        """Names and raw values of the object at the path."""
        for key, value in self.record(*path).data.items():
            yield str(key), value


NOTHING = Record({})
STEPS = ("corpus", "tokens", "ladder", "fit", "forecast", "pretrain", "verdict", "evaluation")
"""The steps to a base model, in order."""
ALIGNMENT_STEPS = ("demonstrations", "sft", "rankings", "reward", "ppo", "align")
"""Those from there to an assistant."""


@dataclass(frozen=True)
class Curve:
    """One training run's metrics: training loss and held-out loss by tokens seen.

    A rung has several: its trunk, and the cooldowns that branch off it.
    """

    name: str
    """The rung's name, or `target`."""
    train: tuple[tuple[float, float], ...]
    """(tokens, nats a token) of single training steps."""
    heldout: tuple[tuple[float, float], ...]
    """(tokens, nats a token) of evaluations."""


@dataclass(frozen=True)
class RunFiles:
    """Everything the report reads, as far as the run has come."""

    folder: Path
    """The run folder."""
    recipe: Record
    """recipe.toml, resolved."""
    recipe_text: str
    """recipe.toml as written; empty where there is none."""
    manifest: Record
    corpus: Record
    tokens: Record
    plan: Record
    run_plan: Record
    """plan.json: what the trainings were planned to take."""
    points: tuple[Record, ...]
    """ladder/points.jsonl, one annealed point each."""
    fit: Record
    forecast: Record
    verdict: Record
    result: Record
    """pretrain/result.json."""
    timing: tuple[Record, ...]
    """pretrain/timing.jsonl."""
    evaluation: Record
    samples: tuple[Record, ...]
    moments: tuple[Record, ...]
    """pretrain/samples.jsonl: what the target wrote at each of its evaluations."""
    target_curve: Curve | None
    """The target's metrics, as far as it has trained."""
    rung_curves: tuple[Curve, ...]
    alignment: Record
    """align/outcome.json."""
    rounds: tuple[Record, ...]
    """align/rounds.jsonl, one round each."""
    aligned_steps: tuple[str, ...]
    """Steps of the alignment that have finished."""
    step_seconds: dict[str, float]
    """How long each finished step took, by name."""
    damaged: tuple[Text, ...]
    """Files that are there and cannot be read, with the reason."""

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.folder.resolve().name


def read_run(folder: Path) -> RunFiles:
    """Read what there is of a run.

    Raises:
        DanluError: there is no such folder.
    """
    if not folder.is_dir():
        raise DanluError(f"there is no run folder {folder}.", "Check the path, or start one with `danlu run`.")
    damaged: list[Text] = []

    def read(name: str, parse: Callable[[str], Any]) -> Any:
        path = folder / name
        try:
            return parse(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
            damaged.append(_damage(name, error))
            return None

    def record(name: str) -> Record:
        value = read(name, json.loads)
        return Record(value) if isinstance(value, dict) else NOTHING

    def lines(name: str) -> tuple[Record, ...]:
        return read(name, _parse_lines) or ()

    samples = read("evaluation/samples.json", json.loads)
    recipe = read("recipe.toml", tomllib.loads)
    return RunFiles(
        folder=folder,
        recipe=Record(recipe) if isinstance(recipe, dict) else NOTHING,
        recipe_text=read("recipe.toml", str) or "",
        manifest=record("manifest.json"),
        corpus=record("corpus/corpus.json"),
        tokens=record("tokens/tokens.json"),
        plan=record("ladder/plan.json"),
        run_plan=record("plan.json"),
        points=lines("ladder/points.jsonl"),
        fit=record("fit/fit.json"),
        forecast=record("forecast.json"),
        verdict=record("verdict.json"),
        result=record("pretrain/result.json"),
        timing=lines("pretrain/timing.jsonl"),
        evaluation=record("evaluation/evaluation.json"),
        samples=Record({"samples": samples}).records("samples"),
        moments=lines("pretrain/samples.jsonl"),
        target_curve=_curve("target", lines("pretrain/metrics.jsonl")),
        rung_curves=tuple(
            curve
            for path in sorted(folder.glob("ladder/*/**/metrics.jsonl"))
            if (curve := _curve(path.relative_to(folder).parts[1], lines(str(path.relative_to(folder)))))
        ),
        alignment=record("align/outcome.json"),
        rounds=lines("align/rounds.jsonl"),
        aligned_steps=tuple(step for step in ALIGNMENT_STEPS if record(f"{step}/stage.json").text("state") == "done"),
        step_seconds=_step_seconds(record),
        damaged=tuple(dict.fromkeys(damaged)),
    )


def _damage(name: str, error: Exception) -> Text:
    """Which file cannot be read, and why."""
    match error:
        case json.JSONDecodeError():
            return tr("damaged.json", file=printable(name), line=error.lineno)
        case tomllib.TOMLDecodeError():
            return tr("damaged.toml", file=printable(name))
        case UnicodeDecodeError():
            return tr("damaged.encoding", file=printable(name))
        case OSError():
            return tr("damaged.system", file=printable(name), number=error.errno or 0)
        case _:
            return tr("damaged.other", file=printable(name))


def _step_seconds(record: Callable[[str], Record]) -> dict[str, float]:
    """From the records that the steps leave."""
    seconds = {}
    for step in (*STEPS, *ALIGNMENT_STEPS):
        found = record(f"{step}/stage.json") or record(f"stages/{step}.json")
        value = found.number("seconds")
        if value is not None and found.text("state") == "done":
            seconds[step] = value
    return seconds


def _parse_lines(content: str) -> tuple[Record, ...]:
    """JSON lines; a last line without its newline is a write in progress and is left out."""
    whole = content[: content.rfind("\n") + 1]
    values, offset = [], 0
    for line in whole.splitlines(keepends=True):
        try:
            values.append(json.loads(line) if line.strip() else None)
        except json.JSONDecodeError as error:  # with the place in the file instead of that in the line
            raise json.JSONDecodeError(error.msg, content, offset + error.pos) from error
        offset += len(line)
    return tuple(Record(value) for value in values if isinstance(value, dict))


def _curve(name: str, lines: tuple[Record, ...]) -> Curve | None:
    train: list[tuple[float, float]] = []
    heldout: list[tuple[float, float]] = []
    for line in lines:
        tokens = line.number("tokens")
        if tokens is None or tokens <= 0:
            continue
        for key, series in (("loss", train), ("heldout_loss", heldout)):
            loss = line.number(key)
            if loss is not None and loss > 0:
                series.append((tokens, loss))
    return Curve(name, tuple(train), tuple(heldout)) if train or heldout else None
