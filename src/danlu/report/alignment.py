"""The part of the report about alignment: how the assistant did beside the models it comes from."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report import alignment_picture, figures
from danlu.report.alignment_picture import Layout, model_name
from danlu.report.facts import Fact
from danlu.report.language import LANGUAGES, Language, Text, printable, same, tr
from danlu.report.reading import Record, RunFiles
from danlu.report.tables import Cell, Column, Table

Variants = Callable[[dict[tuple[str, Language], Markup]], Markup]
"""Puts the drawings of a picture, by width and language, together."""

_KINDS = ("scene", "story", "continue", "question", "list", "sum", "translate")
_CONSTRAINTS = ("all", "sentences", "person", "word", "ends_with", "present", "topic")


@dataclass(frozen=True)
class Answer:
    """What one model says to a prompt."""

    model: Text
    text: str
    score: Text | None
    """Its gold score."""


@dataclass(frozen=True)
class Shown:
    """A prompt with the models' answers."""

    prompt: str
    chinese: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class AlignmentPart:
    """Everything that the template shows."""

    sentence: Text
    gold_picture: Markup | None
    curves_picture: Markup | None
    models: Table
    abilities: Table
    comparisons: Table
    reward_model: tuple[Fact, ...]
    fits: tuple[Fact, ...]
    samples: tuple[Shown, ...]
    rounds: Table | None
    """Of several rounds, one beside the other."""


def alignment_part(files: RunFiles, variants: Variants) -> AlignmentPart | None:
    """The part, or None where no model was aligned (yet)."""
    outcome = files.alignment
    if not outcome.records("models"):
        return None
    has_gold = any(model.record("gold") for model in outcome.records("models"))
    return AlignmentPart(
        sentence=outcome_sentence(outcome),
        gold_picture=_drawn(outcome, alignment_picture.draw_gold, variants) if has_gold else None,
        curves_picture=(
            _drawn(outcome, alignment_picture.draw_curves, variants) if alignment_picture.has_curves(outcome) else None
        ),
        models=_models(outcome),
        abilities=_abilities(outcome),
        comparisons=_comparisons(outcome),
        reward_model=_reward_model(outcome.record("reward_model")),
        fits=_fits(outcome),
        samples=tuple(_sample(one) for one in outcome.records("samples")),
        rounds=_rounds(files.rounds),
    )


def outcome_sentence(outcome: Record) -> Text:
    """What came out, in one sentence."""
    by_name = {model.text("name"): model for model in outcome.records("models")}
    last = outcome.records("models")[-1]
    start, end = by_name.get("sft"), last
    if start is None or last.text("name") == "sft":
        return tr("alignment.sentence.only", model=model_name(last.text("name") or ""), count=_prompts(outcome))
    before, after = start.number("gold", "gold", "value"), end.number("gold", "gold", "value")
    if before is None or after is None:
        wins = _win(outcome, end.text("name"), "reward")
        return tr("alignment.sentence.reward", wins=figures.percent(wins, 0), count=_prompts(outcome))
    return tr(
        "alignment.sentence.gold",
        before=figures.loss(before, 3),
        after=figures.loss(after, 3),
        wins=figures.percent(_win(outcome, end.text("name"), "gold"), 0),
        kl=same("–" if end.number("kl") is None else f"{end.number('kl'):.3g}"),
        count=_prompts(outcome),
    )


def _prompts(outcome: Record) -> str:
    return figures.whole(outcome.number("prompts"))


def _win(outcome: Record, name: str | None, by: str) -> float | None:
    for one in outcome.records("comparisons"):
        if (one.text("first"), one.text("second"), one.text("by")) == (name, "sft", by):
            return one.number("wins", "value")
    return None


def _drawn(outcome: Record, draw: Callable[[Record, Language, Layout], Markup], variants: Variants) -> Markup:
    layouts = (("wide", alignment_picture.WIDE), ("narrow", alignment_picture.NARROW))
    return variants(
        {(name, language): draw(outcome, language, layout) for name, layout in layouts for language in LANGUAGES}
    )


def _models(outcome: Record) -> Table:
    columns = [Column(tr("alignment.model"), numeric=False)]
    names = ("gold", "en", "zh", "reward", "kl", "bits_per_byte", "ended", "tokens")
    columns += [Column(tr(f"alignment.{name}")) for name in names]
    rows = []
    base = next((m for m in outcome.records("models") if m.text("name") == "base"), Record({}))
    for model in outcome.records("models"):
        rows.append(
            (
                Cell(model_name(model.text("name") or "")),
                Cell(_value(model.record("gold", "gold"))),
                Cell(_value(model.record("gold", "by_language", "en"))),
                Cell(_value(model.record("gold", "by_language", "zh"))),
                Cell(same(figures.loss(model.number("reward", "value"), 2))),
                Cell(same(figures.loss(model.number("kl"), 2))),
                Cell(_bits(model.number("bits_per_byte"), base.number("bits_per_byte"))),
                Cell(same(figures.percent(model.number("ended"), 0))),
                Cell(same(figures.loss(model.number("tokens"), 1))),
            )
        )
    return Table(tuple(columns), tuple(rows))


def _bits(value: float | None, base: float | None) -> Text:
    """Bits a byte of the base corpus, with the change against the base model: the alignment tax."""
    words = figures.loss(value)
    if value is None or not base or value == base:
        return same(words)
    return same(f"{words} ({figures.signed_percent(value / base - 1)})")


def _value(one: Record) -> Text:
    if one.number("value") is None:
        return same(figures.NONE)
    return same(
        f"{figures.loss(one.number('value'), 3)} ({figures.interval(one.number('low'), one.number('high'), 3)})"
    )


def _abilities(outcome: Record) -> Table:
    """Gold by kind of instruction, then how far each kind of constraint is met: a column for each model."""
    models = [model for model in outcome.records("models") if model.record("gold")]
    columns = (
        Column(tr("alignment.ability"), numeric=False),
        *(Column(model_name(model.text("name") or "")) for model in models),
    )
    rows = []
    for group, prefix, names in (
        ("by_kind", "alignment.kind", _KINDS),
        ("constraints", "alignment.constraint", _CONSTRAINTS),
    ):
        for name in names:
            if not any(model.record("gold", group, name) for model in models):
                continue
            cells = [Cell(same(figures.loss(model.number("gold", group, name, "value"), 3))) for model in models]
            rows.append((Cell(tr(f"{prefix}.{name}")), *cells))
    return Table(columns, tuple(rows))


def _comparisons(outcome: Record) -> Table:
    columns = [Column(tr("alignment.pair"), numeric=False), Column(tr("alignment.by"), numeric=False)]
    columns += [Column(tr("alignment.wins")), Column(tr("alignment.gain"))]
    rows = []
    for one in outcome.records("comparisons"):
        pair = tr(
            "alignment.against", first=model_name(one.text("first") or ""), second=model_name(one.text("second") or "")
        )
        wins = one.record("wins")
        share = f"{figures.percent(wins.number('value'), 0)} ({figures.percent(wins.number('low'), 0)} – "
        share += f"{figures.percent(wins.number('high'), 0)})"
        by = tr("alignment.by.gold" if one.text("by") == "gold" else "alignment.by.reward")
        rows.append((Cell(pair), Cell(by), Cell(same(share)), Cell(_value(one.record("gain")))))
    return Table(tuple(columns), tuple(rows))


def _reward_model(record: Record) -> tuple[Fact, ...]:
    named = [("comparisons", same(figures.whole(record.number("comparisons"))))]
    models = record.number("models")
    if models is not None and models > 1:
        named.append(("models", same(figures.whole(models))))
    named += [(name, _share(record.record(name))) for name in ("gold", "gold_all", "labels", "length", "labellers")]
    return tuple(Fact(tr(f"alignment.rm.{name}"), words) for name, words in named if words.en != figures.NONE)


def _share(one: Record) -> Text:
    if one.number("value") is None:
        return same(figures.NONE)
    low, high = figures.percent(one.number("low")), figures.percent(one.number("high"))
    return same(f"{figures.percent(one.number('value'))} ({low} – {high})")


def _fits(outcome: Record) -> tuple[Fact, ...]:
    facts = []
    for curve in outcome.records("curves"):
        fit = curve.record("fit")
        way = curve.text("way")
        if fit.number("alpha", "value") is None or way not in ("rl", "best_of_n"):
            continue
        form = "R(d) = d (α − β d)" if way == "best_of_n" else "R(d) = d (α − β ln d)"
        parts = [form, *(f"{sign} = {_ends(fit.record(name))}" for sign, name in (("α", "alpha"), ("β", "beta")))]
        if curve.flag("fit", "peak_seen"):
            parts.append(f"d* = {_ends(fit.record('peak'))}")
        facts.append(Fact(tr(f"alignment.way.{way}"), same("\n".join(parts)), long=True))
    return tuple(facts)


def _ends(one: Record) -> str:
    value, low, high = (one.number(name) for name in ("value", "low", "high"))
    if value is None:
        return figures.NONE
    if low is None and high is None:
        return f"{value:.3g}"
    return f"{value:.3g} ({'−∞' if low is None else f'{low:.3g}'} – {'∞' if high is None else f'{high:.3g}'})"


def _sample(one: Record) -> Shown:
    answers = []
    for name, text in one.items("answers"):
        score = one.number("gold", name)
        words = None if score is None else tr("alignment.score", score=figures.loss(score, 2))
        answers.append(Answer(model_name(name), printable(text) if isinstance(text, str) else "", words))
    return Shown(printable(one.text("prompt") or ""), one.text("language") == "zh", tuple(answers))


def _rounds(rounds: tuple[Record, ...]) -> Table | None:
    """Each round's figures side by side; None where there was one alone."""
    if len(rounds) < 2:
        return None
    columns = tuple(
        Column(tr(f"alignment.round.{name}"))
        for name in ("number", "comparisons", "agreement", "reward", "gold", "kl", "length")
    )
    rows = []
    for one in rounds:
        rows.append(
            (
                Cell(same(figures.whole(one.number("round")))),
                Cell(same(figures.whole(one.number("comparisons")))),
                Cell(same(figures.percent(one.number("gold_agreement", "value")))),
                Cell(same(figures.loss(one.number("reward"), 2))),
                Cell(_value(one.record("gold"))),
                Cell(same(figures.loss(one.number("kl"), 2))),
                Cell(same(figures.loss(one.number("tokens"), 1))),
            )
        )
    return Table(columns, tuple(rows))
