"""Lists of facts: a name and a value each, for what does not make a table."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from danlu.report import figures
from danlu.report.language import Text, printable, same, tr
from danlu.report.reading import NOTHING, Record, RunFiles
from danlu.report.scene import Scene


@dataclass(frozen=True)
class Fact:
    """A name and its value."""

    name: Text
    value: Text
    long: bool = False
    """Takes a line of its own, in fixed-width type: hashes, versions, formulas."""
    prose: bool = False
    """Takes a line of its own: sentences."""


@dataclass(frozen=True)
class Command:
    """A command line and what it does."""

    line: str
    does: Text


def _facts(
    prefix: str, *named: tuple[str, Text | str | None], long: tuple[str, ...] = (), prose: tuple[str, ...] = ()
) -> tuple[Fact, ...]:
    """Facts that are known; those without a value are left out."""
    facts = []
    for name, value in named:
        words = value if isinstance(value, Text) else same(value or figures.NONE)
        if words.en not in ("", figures.NONE):
            facts.append(Fact(tr(f"{prefix}.{name}"), words, name in long, name in prose))
    return tuple(facts)


def allocation_facts(files: RunFiles) -> tuple[Fact, ...]:
    """The target's size and tokens, and what they follow from."""
    target = files.forecast.record("target")
    params, tokens, flops = target.number("params"), target.number("tokens"), target.number("flops")
    reach = files.forecast.record("extrapolation")
    ladder = files.plan.number("flops")
    return _facts(
        "allocation",
        ("budget", files.recipe.text("budget")),
        ("flops", figures.flops(flops)),
        ("params", figures.count(params)),
        ("tokens", figures.count(tokens)),
        ("ratio", f"{tokens / params:.3g}" if params and tokens else None),
        ("unique", figures.count(target.number("unique_tokens"))),
        ("epochs", _digits(target.number("epochs"))),
        ("repetition", _repetition(files.forecast.record("repetition"))),
        ("ladder", figures.percent(ladder / flops) if flops and ladder else None),
        ("reach.compute", figures.times(reach.number("C"))),
        ("reach.params", figures.times(reach.number("N"))),
        ("reach.ratio", figures.times(reach.number("D_over_N"))),
        ("shape", shape_words(target.record("model"))),
        ("surface", _law_words(files.fit.record("surface"))),
        long=("shape", "surface"),
    )


def _repetition(repetition: Record) -> Text | None:
    nats, share = repetition.number("nats"), repetition.number("share")
    if nats is None or share is None:
        return None
    return tr("allocation.repetition.words", nats=figures.loss(nats), share=figures.percent(share, 2))


def _law_words(law: Record) -> str:
    return "\n".join(filter(None, (law.text("formula"), named_values(law.record("parameters")))))


def shape_words(model: Record) -> Text | None:
    """A transformer's shape in one line; None where it is not known."""
    layers, width = model.number("num_hidden_layers"), model.number("hidden_size")
    if layers is None or width is None:
        return None
    return tr(
        "allocation.shape.words",
        layers=figures.whole(layers),
        width=figures.whole(width),
        heads=figures.whole(model.number("num_attention_heads")),
        context=figures.whole(model.number("max_position_embeddings")),
        vocab=figures.whole(model.number("vocab_size")),
    )


def _digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def data_facts(files: RunFiles) -> tuple[Fact, ...]:
    """How the text became tokens."""
    tokens = files.tokens
    train_bytes, train_tokens = tokens.number("train_bytes"), tokens.number("train_tokens")
    return _facts(
        "data",
        ("vocab", figures.whole(tokens.number("vocab_size"))),
        ("train_tokens", figures.whole(train_tokens)),
        ("heldout_tokens", figures.whole(tokens.number("heldout_tokens"))),
        ("bytes_per_token", _digits(train_bytes / train_tokens) if train_bytes and train_tokens else None),
    )


def law_facts(files: RunFiles, scene: Scene) -> tuple[Fact, ...]:
    """The law behind the forecast, its floor beside the truth where that is known, and how it did on the ladder."""
    forecast = files.forecast
    tests = forecast.records("drift", "tests")
    last = tests[-1] if tests else NOTHING
    entropy = None if scene.entropy is None else figures.loss(scene.entropy)
    return _facts(
        "law",
        ("formula", _law_words(forecast.record("law"))),
        ("floor", figures.loss(forecast.number("law", "parameters", "E"))),
        ("entropy", f"≤ {entropy}" if entropy and scene.entropy_is_bound else entropy),
        ("frontier", figures.loss(forecast.number("frontier_loss"))),
        ("floor_free", figures.loss(forecast.number("floor_free_loss"))),
        ("noise", figures.percent(forecast.number("noise"), 2)),
        ("drift", figures.percent(forecast.number("drift", "rate"), 2)),
        ("backtest", figures.loss(last.number("forecast"))),
        ("backtest.measured", figures.loss(last.number("measured"))),
        ("method", joined(forecast.remarks("method"))),
        long=("formula",),
        prose=("method",),
    )


def joined(sentences: Iterable[Text]) -> Text:
    """Sentences one after the other."""
    said = list(sentences)
    return Text(" ".join(text.en for text in said), "".join(text.zh for text in said))


def named_values(record: Record) -> str:
    """`E = 1.0213, k = 45.31`: the numbers and words of an object by name, those of inner objects too."""
    shown = []
    for name, value in record.items():
        number = record.number(name)
        if number is not None:
            shown.append(f"{name} = {number:.6g}")
        elif isinstance(value, str):
            shown.append(f"{name} = {value}")
        elif record.record(name):
            shown.append(named_values(record.record(name)))
    return ", ".join(shown)


def speed_facts(files: RunFiles) -> tuple[Fact, ...]:
    """How fast the target trained and what it held in memory; of a run under way, the latest."""
    result = files.result
    latest = files.timing[-1] if files.timing else NOTHING
    fraction = result.number("flops_fraction")
    speed = result.number("tokens_per_second")
    return _facts(
        "speed",
        ("tokens_per_second", figures.count(latest.number("tokens_per_second") if speed is None else speed)),
        ("fraction", figures.percent(latest.number("flops_fraction") if fraction is None else fraction)),
        ("seconds", figures.seconds(result.number("seconds") or latest.number("seconds"))),
        ("steps", figures.whole(result.number("steps") or latest.number("step"))),
        ("tokens", figures.count(result.number("tokens"))),
        ("flops", figures.flops(result.number("flops"))),
        ("memory", figures.size(result.number("peak_memory_bytes"))),
        ("skipped", figures.whole(result.number("skipped_steps"))),
        ("hyperparameters", named_values(result.record("hyperparameters"))),
        long=("hyperparameters",),
    )


def environment_facts(files: RunFiles) -> tuple[Fact, ...]:
    """The machine, the versions, the seeds and the hashes."""
    manifest, hardware = files.manifest, files.manifest.record("hardware")
    accelerators = ", ".join(
        item.text("name") or item.text("kind") or "?" for item in hardware.records("accelerators")
    ) or ", ".join(hardware.texts("accelerators"))
    peaks = [(name, hardware.number("peak_flops", name)) for name, _ in hardware.items("peak_flops")]
    continued = len(manifest.records("continued"))
    return _facts(
        "environment",
        ("processor", hardware.text("processor")),
        ("cores", figures.whole(hardware.number("cores"))),
        ("memory", figures.size(hardware.number("memory_bytes"))),
        ("accelerators", accelerators),
        ("device", _device(hardware)),
        ("peak", ", ".join(f"{name} {figures.flops(value)}/s" for name, value in peaks if value is not None)),
        ("system", hardware.text("system")),
        ("python", manifest.text("python")),
        ("created", figures.moment(manifest.text("created"))),
        ("continued", f"{continued}" if continued else None),
        ("danlu", " ".join(filter(None, (manifest.text("danlu"), manifest.text("git"))))),
        ("packages", _pairs(manifest.record("packages"))),
        ("seeds", _pairs(manifest.record("seeds"))),
        ("forecast", files.forecast.text("hash")),
        ("data", "\n".join(f"{name} {value}" for name, value in manifest.items("data") if isinstance(value, str))),
        long=("danlu", "packages", "seeds", "forecast", "data"),
    )


def _pairs(record: Record) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items() if isinstance(value, str | int | float))


def _device(hardware: Record) -> str:
    return ", ".join(filter(None, (hardware.text("device"), hardware.text("precision"))))


def next_commands(files: RunFiles) -> tuple[Command, ...]:
    """What to type next: go on with an unfinished run, use a finished one. Each works as it stands."""
    run = shlex.quote(str(files.folder))
    if not (files.verdict and files.evaluation):
        return (Command(f"danlu run {run}", tr("commands.continue")),)
    export = shlex.quote(str(Path("exports") / files.name))
    aligned = "align" in files.aligned_steps
    more = (
        (Command(f"danlu align {run} --rounds {len(files.rounds) + 1}", tr("commands.align")),) if files.rounds else ()
    )
    return (
        Command(f"danlu chat {run}", tr("commands.chat.assistant" if aligned else "commands.chat")),
        *more,
        Command(f"danlu generate {run}", tr("commands.generate")),
        Command(f"danlu evaluate {run}", tr("commands.evaluate")),
        Command(f"danlu export {run} {export}", tr("commands.export")),
    )


def repeat_commands(files: RunFiles) -> tuple[Command, ...]:
    """How to make the same run again, elsewhere."""
    recipe = shlex.quote(str(files.folder / "recipe.toml"))
    elsewhere = shlex.quote(f"{files.folder}-again")
    typed = files.manifest.text("command")
    commands = [Command(printable(typed), tr("commands.typed"))] if typed else []
    if files.recipe:
        commands.append(Command(f"danlu run {recipe} --out {elsewhere}", tr("commands.repeat")))
    return tuple(commands)
