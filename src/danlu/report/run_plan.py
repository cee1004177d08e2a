"""The plan that a run began with: what was planned beside what was measured, and the same recipe on other chips."""

from dataclasses import dataclass

from danlu.report import figures
from danlu.report.language import NOTHING_TO_SAY, Text, same, tr
from danlu.report.outcome import Quantity, inside_words
from danlu.report.reading import Record, RunFiles
from danlu.report.tables import Cell, Column, Table

_QUANTITIES = ("ladder_seconds", "target_seconds", "memory_bytes")


@dataclass(frozen=True)
class PlanPart:
    """The section's contents."""

    planned: Table
    trainings: Table
    elsewhere: Table


def plan_part(files: RunFiles) -> PlanPart | None:
    """Collect the section; None where the run has no plan."""
    plan = files.run_plan
    if not plan:
        return None
    return PlanPart(_planned(plan, files.verdict), _trainings(plan), _elsewhere(plan))


def _planned(plan: Record, verdict: Record) -> Table:
    """The plan beside what was measured."""
    judged = {each.text("name"): each for each in verdict.records("planned")}
    rows = []
    for name in (*_QUANTITIES, "wall_seconds"):
        found = judged.get(name)
        quantity = Quantity(
            forecast=plan.number(name),
            low=plan.number(f"{name}_low"),
            high=plan.number(f"{name}_high"),
            measured=found.number("measured") if found else None,
        )
        style = "" if quantity.inside is None else "good" if quantity.inside else "bad"
        rows.append(
            (
                Cell(tr(f"plan.{name}")),
                Cell(_said(name, quantity.forecast)),
                Cell(_interval(name, quantity)),
                Cell(_interval(name, quantity), gauge=quantity),
                Cell(_said(name, quantity.measured)),
                Cell(same(figures.signed_percent(quantity.relative_error))),
                Cell(inside_words(quantity), style),
            )
        )
    names = ("quantity", "forecast", "interval", "picture", "measured", "error", "inside")
    columns = tuple(
        Column(tr("plan.planned") if name == "forecast" else tr(f"verdict.{name}"), name not in _WORDS)
        for name in names
    )
    return Table(columns, tuple(rows))


_WORDS = ("quantity", "picture", "inside")


def _said(name: str, value: float | None) -> Text:
    return same(figures.size(value)) if name == "memory_bytes" else figures.seconds(value)


def _interval(name: str, quantity: Quantity) -> Text:
    if quantity.low is None or quantity.high is None:
        return same(figures.NONE)
    low, high = _said(name, quantity.low), _said(name, quantity.high)
    return Text(f"{low.en} – {high.en}", f"{low.zh} – {high.zh}")


def _trainings(plan: Record) -> Table:
    """What each training was planned to take."""
    rows = []
    for each in plan.records("trainings"):
        target = each.text("name") == "target"
        name = tr("plan.target") if target else same(each.text("name") or "?")
        step = each.number("step_seconds")
        rows.append(
            tuple(
                Cell(words)
                for words in (
                    name,
                    same(figures.count(each.number("params"))),
                    same(figures.count(each.number("tokens"))),
                    same(figures.flops(each.number("flops"))),
                    same(figures.NONE if step is None else f"{1000 * step:.3g} ms"),
                    same(figures.percent(each.number("fraction"), 0)),
                    figures.seconds(each.number("seconds")),
                    figures.seconds(each.number("evaluation_seconds")),
                    figures.seconds(each.number("checkpoint_seconds")),
                    same(figures.size(each.number("peak_memory_bytes"))),
                )
            )
        )
    keys = (
        "training",
        "params",
        "tokens",
        "flops",
        "step",
        "fraction",
        "seconds",
        "evaluation",
        "checkpoints",
        "memory",
    )
    return Table(tuple(Column(tr(f"plan.{key}"), key != "training") for key in keys), tuple(rows))


def _elsewhere(plan: Record) -> Table:
    """The same trainings on one chip of other kinds."""
    rows = []
    for each in plan.records("elsewhere"):
        seconds, low, high = (each.number(name) for name in ("seconds", "seconds_low", "seconds_high"))
        usd = each.number("usd")
        ends = (figures.seconds(low), figures.seconds(high))
        known = seconds is not None and low is not None and high is not None
        why = each.text("why_not") or ""
        rows.append(
            (
                Cell(same(each.text("chip") or "?")),
                Cell(figures.seconds(seconds)),
                Cell(
                    Text(f"{ends[0].en} – {ends[1].en}", f"{ends[0].zh} – {ends[1].zh}")
                    if known
                    else same(figures.NONE)
                ),
                Cell(same(figures.percent(each.number("mfu"), 1))),
                Cell(tr(f"plan.fits.{_FITS[fits]}") if (fits := each.text("fits")) in _FITS else NOTHING_TO_SAY),
                Cell(same(figures.NONE if usd is None else f"{usd:.2g} USD")),
                Cell(same(why)),
            )
        )
    keys = ("chip", "time", "interval", "mfu", "memory_verdict", "rent", "missing")
    words = ("chip", "memory_verdict", "missing")
    return Table(tuple(Column(tr(f"plan.{key}"), key not in words) for key in keys), tuple(rows))


_FITS = {"fits": "yes", "tight": "tight", "does not fit": "no"}
