"""How a plan is shown in the terminal."""

from collections.abc import Sequence
from typing import Any

import rich
from rich.markup import escape
from rich.table import Table

from danlu.common.duration import format_count, format_seconds
from danlu.common.errors import DanluError
from danlu.planner.accelerator import GIB
from danlu.planner.backward import Answer
from danlu.planner.compare import Ban, Compared
from danlu.planner.currency import Currency
from danlu.planner.ledger import Entry, trace
from danlu.planner.plan import Plan
from danlu.planner.ranges import Range
from danlu.planner.request import Outcome
from danlu.planner.served import Served
from danlu.planner.serving import Serving

_BAR = 24
_SALES = {
    "yes": "for sale",
    "notification": "for sale after a notification",
    "case by case": "a licence is judged case by case",
    "no": "not for sale",
    "cloud only": "its maker's cloud only",
    "not yet": "not yet released",
    "unknown": "a figure is missing that decides the sale",
}
_ABILITIES = {
    "shown": "a published run shows that it does the work",
    "possible": "its figures would do",
    "no": "its figures rule it out",
    "unknown": "nobody knows whether it does the work",
}


def show(found: Outcome) -> None:
    """Print an answer."""
    if found.answer:
        _show_answer(found)
    _show_plan(found.plan)
    if found.serving_options:
        _show_serving(found.serving_options)
    elif found.serving_why_not:
        _say(f"serving   {found.serving_why_not}")
    if found.served:
        price = f", rent {_money(found.served.rent, found.plan.currency)}" if found.served.rent else ""
        hours = format_count(found.served.chip_hours)
        _say(
            f"to serve  {format_count(found.served.tokens)} tokens: {hours} chip-hours at the most tokens a chip{price}"
        )
    if found.request.tflops is None and (len(found.plan.front) > 1 or found.counts):
        _show_front(found)
    if found.compared:
        _show_compared("the same on other chips", found.compared)
    if found.ban:
        _show_ban(found.ban)
    for words in found.notes:
        _say(f"note      {words}")
    for words in found.plan.costs.missing:
        _say(f"missing   {words}")
    for words in found.plan.step.job.accelerator.assumed:
        _say(f"assumed   {words}")
    _say("--explain traces every figure; --html FILE draws the page.")


def _show_serving(options: Sequence[Serving]) -> None:
    """The fastest token, the most tokens a chip, and two between."""
    last = len(options) - 1
    places = dict.fromkeys((0, last // 3, 2 * last // 3, last))
    for place in places:
        one = options[place]
        _say(
            f"{'serving' if place == 0 else '':<10}{one.chips} chip{'s' if one.chips > 1 else ''} an instance, batch"
            f" {one.batch}: {one.tokens_per_chip_second:,.0f} tokens/s a chip, {one.token_seconds * 1e3:.1f} ms a"
            f" token, first token after {one.prefill_seconds:.2g} s"
        )
    _say(f"{'':<10}({options[0].prompt} tokens read, {options[0].context - options[0].prompt} written, 16-bit weights)")


def _say(words: str) -> None:
    rich.print(escape(words))


def _show_answer(found: Outcome) -> None:
    answer = found.answer
    assert answer
    table = Table(box=None, pad_edge=False)
    for name in ("", "budget", "model", "tokens", "chips", "time", "rent", "loss (80%)"):
        table.add_column(name, justify="left" if name in ("", "model") else "right")
    for label, one in (("half", found.half), ("asked", answer), ("double", found.double)):
        if one:
            table.add_row(label, *_answer_cells(one))
    rich.print(table)
    for words in found.scaled_why_not:
        _say(f"note      {words}")
    if found.served and answer.wish.loss is None:
        _say(_shared_out(answer.plan, found.served))
    if answer.wish.loss is not None and answer.wish.budget:
        verdict = "covers it" if answer.enough else "does not cover it"
        _say(f"a loss of {answer.wish.loss:g} takes {_amount(answer)}: the budget {answer.wish.budget} {verdict}")


def _shared_out(plan: Plan, served: Served) -> str:
    """What of a budget trains the model, and what serves it."""
    words = f"of which  {format_count(plan.chip_hours.mid)} chip-hours train the model and"
    words += f" {format_count(served.chip_hours)} serve it"
    if plan.costs.rent and served.rent:
        words += f" (rent {plan.currency.show(plan.costs.rent.mid)} and {plan.currency.show(served.rent.mid)})"
    return f"{words}; the table's time and rent are the training's"


def _answer_cells(one: Answer) -> tuple[str, ...]:
    plan = one.plan
    rent = plan.costs.rent
    return (
        str(one.wish.budget) if one.wish.budget else "-",
        f"{format_count(plan.shape.params())}",
        format_count(plan.run.tokens),
        f"{plan.chips:,}",
        format_seconds(plan.run.wall_seconds),
        plan.currency.show(rent.mid) if rent else "-",
        f"{plan.split.loss:.3f} ({plan.split.low:.3f}-{plan.split.high:.3f})",
    )


def _amount(answer: Answer) -> str:
    kind = answer.wish.budget.kind if answer.wish.budget else ""
    if kind == "usd":
        return answer.plan.currency.show(answer.spent)
    return f"{answer.spent:.3g} FLOPs" if kind == "flops" else f"{answer.spent:,.0f} chip-hours"


def _show_plan(plan: Plan) -> None:
    step, run, job = plan.step, plan.run, plan.step.job
    shape = plan.shape
    active = shape.params("active")
    sizes = format_count(shape.params()) + (f" ({format_count(active)} active)" if shape.moe else "")
    _say(
        f"plan      {shape.name}, {sizes} parameters, {format_count(run.tokens)} tokens, on {plan.chips:,} x"
        f" {plan.chip.name}, {job.precision.name}, {job.seq_len} tokens a sequence"
    )
    tried = f" (the fastest of {plan.search.fitting:,} that fit)" if plan.search else " (given)"
    _say(f"layout    {job.layout.describe()}, {job.batch:,} sequences a step{tried}")
    _say(
        f"step      {step.seconds:.3g} s ({_between(step.low, step.high)}), {step.tokens_per_second:,.0f}"
        f" tokens/s, {step.flops_per_chip / 1e12:.0f} TFLOP/s a chip, MFU {step.mfu:.0%}"
    )
    for name, seconds in sorted(step.terms.items(), key=lambda item: -item[1]):
        share = seconds / step.seconds
        if share >= 0.005:
            bar = "█" * max(1, round(share * _BAR))
            _say(f"            {name:<19}{bar:<{_BAR}} {share:6.1%}  {seconds:.3g} s")
    parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in step.memory_parts.items() if size > 0.05 * GIB)
    _say(
        f"memory    {step.memory_bytes / GIB:.1f} of {job.accelerator.memory_bytes / GIB:.0f} GiB a chip:"
        f" {step.verdict} ({parts})"
    )
    days = "as given" if step.low == step.high else f"80%: {format_seconds(plan.wall.low)} to"
    days += "" if step.low == step.high else f" {format_seconds(plan.wall.high)}"
    _say(
        f"run       {format_seconds(run.wall_seconds)} ({days}), {format_count(plan.chip_hours.mid)} chip-hours,"
        f" goodput {run.goodput:.1%};"
        f" {run.failures:.1f} failures expected, a checkpoint every {format_seconds(run.checkpoint_interval)}"
    )
    costs = plan.costs
    money = [
        f"{name} {_money(cost, plan.currency)}" for name, cost in (("rent", costs.rent), ("own", costs.owning)) if cost
    ]
    if costs.energy_kwh and costs.carbon_tonnes:
        energy, carbon = costs.energy_kwh, costs.carbon_tonnes
        money.append(_either(energy, 1e4, "kWh", "MWh"))
        money.append(_either(carbon.times(1e3), 1e4, "kg CO2e", "t CO2e"))
    _say(f"cost      {'; '.join(money) or 'unknown, see below'}  [prices of {plan.on}]")
    split = plan.split
    counted = ", with the active parameters" if shape.moe else ""
    _say(f"loss      {split.loss:.3f} (80%: {split.low:.3f} to {split.high:.3f}), by {plan.law.source}{counted}")


def _between(low: float, high: float) -> str:
    return "as given" if low == high else f"80%: {low:.3g} to {high:.3g}"


def _either(found: Range, large: float, unit: str, thousands: str) -> str:
    """A range in its unit, or in thousands of it from a size on."""
    scale, name = (1e3, thousands) if found.mid >= large else (1.0, unit)
    low, mid, high = (
        f"{value / scale:,.3g}" if value < 100 * scale else f"{value / scale:,.0f}"
        for value in (found.low, found.mid, found.high)
    )
    return f"{mid} {name} ({low} to {high})"


def _money(usd: Range, currency: Currency) -> str:
    return f"{currency.show(usd.mid)} ({currency.show(usd.low)} to {currency.show(usd.high)})"


def _show_front(found: Outcome) -> None:
    table = Table(title="front: time, memory, chips", title_justify="left", box=None, pad_edge=False)
    for name in ("chips", "layout", "tokens/s", "GiB a chip"):
        table.add_column(name, justify="left" if name == "layout" else "right")
    options = [(each.chips, each.option) for each in found.counts]
    options = options or [(found.plan.chips, option) for option in found.plan.front]
    by_count = {chips: [each for each in options if each[0] == chips] for chips, _ in options}
    shown = [each for group in by_count.values() for each in group[:: max(1, len(group) // 4)][:4]]
    for chips, option in shown:
        table.add_row(
            f"{chips:,}",
            option.layout.describe(),
            f"{option.tokens_per_second:,.0f}",
            f"{option.memory_bytes / GIB:.1f}",
        )
    rich.print(table)


def _show_compared(title: str, compared: Sequence[Compared]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    code = next((each.plan.currency.code for each in compared if each.plan), "USD")
    for name in ("chip", "count", "model", "days (80%)", "MFU", f"{code} rent", "serve/s"):
        table.add_column(name, justify="left" if name == "chip" else "right")
    for each in compared:
        plan = each.plan
        serving = f"{each.serving.tokens_per_chip_second:,.0f}" if each.serving else "-"
        if plan is None:
            table.add_row(each.chip.name, "-", "-", "-", "-", "-", serving)
            continue
        wall, rent = plan.wall, plan.costs.rent
        days = f"{wall.mid / 86400:.3g} ({wall.low / 86400:.3g}-{wall.high / 86400:.3g})"
        money = "no price"
        if rent:
            number = plan.currency.number
            money = f"{number(rent.mid)} ({number(rent.low)}-{number(rent.high)})"
        size = format_count(plan.shape.params())
        table.add_row(each.chip.name, f"{plan.chips:,}", size, days, f"{plan.step.mfu:.0%}", money, serving)
    rich.print(table)
    for each in compared:
        if each.why_not:
            _say(f"  {each.chip.name}: {each.why_not}")
    if any(each.plan and each.plan.costs.rent is None for each in compared):
        _say(
            "  no price: the catalogue has no offer; give yours in a TOML file (--chips FILE): [[chip]] name = '...',"
            " prices = [{ kind = 'rent', usd = 2.5, date = '2026-01', source = 'quote' }]"
        )


def _show_ban(found: Ban) -> None:
    _say(f"region    {found.region} on {found.on}")
    for use, judged in (("training", found.training), ("inference", found.inference)):
        for each in judged:
            words = "available" if each.open else f"not available ({_SALES[each.sale]}; {_ABILITIES[each.ability]})"
            _say(f"  {use:<9} {each.chip.name}: {words}: {'; '.join(each.reasons)}")
    _show_compared("the same training on what is left", found.alternatives)
    table = Table(title="serving on what is left", title_justify="left", box=None, pad_edge=False)
    for name in ("chip", "chips an instance", "tokens/s a chip", "ms a token"):
        table.add_column(name, justify="left" if name == "chip" else "right")
    for chip, one in found.serving:
        table.add_row(chip.name, str(one.chips), f"{one.tokens_per_chip_second:,.0f}", f"{one.token_seconds * 1e3:.1f}")
    rich.print(table)


def show_trace(found: Outcome, name: str) -> None:
    """Print where a figure comes from, or every figure.

    Raises:
        DanluError: the plan has no such figure.
    """
    entries = found.plan.ledger.entries
    names = [entry.name for entry in entries]
    if name != "all" and name not in names:
        import difflib

        near = difflib.get_close_matches(name, names, n=4, cutoff=0.3)
        shown = near or [entry.name for entry in entries if entry.origin == "computed"][:8]
        raise DanluError(f"the plan has no figure '{name}'.", f"Nearest: {', '.join(shown)}.")
    if name == "all":
        for entry in entries:
            _say(_traced(entry, 0, inputs=True))
        return
    for depth, entry in trace(entries, name):
        _say(_traced(entry, depth, inputs=False))


def _traced(entry: Entry, depth: int, inputs: bool) -> str:
    unit = f" {entry.unit}" if entry.unit else ""
    shown = entry.inputs if len(entry.inputs) <= 6 else (*entry.inputs[:5], f"and {len(entry.inputs) - 5} others")
    under = f" <- {', '.join(shown)}" if inputs and entry.inputs else ""
    return f"{'  ' * depth}{entry.name} = {entry.value:.6g}{unit} [{entry.origin}] {entry.how}{under}"


def show_answers(answers: Sequence[dict[str, Any]]) -> None:
    """Print the answers of a table."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "step s", "low", "high", "TFLOP/s", "GiB", "verdict", "layout"):
        table.add_column(name, justify="left" if name in ("run", "verdict", "layout") else "right")
    for each in answers:
        if "error" in each:
            continue
        table.add_row(
            each["run_id"],
            *(f"{each[key]:.4g}" for key in ("step_time_s", "low", "high")),
            f"{each['tflops_per_chip']:.0f}",
            f"{each['mem_gib_per_chip']:.1f}",
            each["verdict"],
            each["layout"],
        )
    rich.print(table)
