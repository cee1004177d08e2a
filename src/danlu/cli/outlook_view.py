"""The outlook for a terminal. Not in `report`, whose page would cost a start of 0.2 s more."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from danlu.planner.outlook.arithmetic import Check
from danlu.planner.outlook.claims import CheckedClaim
from danlu.planner.outlook.outlook import Outlook
from danlu.planner.ranges import Range

_STYLES = {"consistent": "green", "computed": "dim", "conditional": "yellow", "outdated": "yellow"}


def outlook_view(found: Outlook) -> RenderableType:
    """Demand, supply, gap, shares, market and claims, within 80 columns."""
    growth = {each.key: each for each in found.demand.measured}
    notable, frontier = growth["compute-notable"], growth["compute-frontier"]
    text = found.text
    parts: list[RenderableType] = [
        _title("Demand"),
        Styled(
            f"  training compute of notable models: {notable.factor:g} times a year "
            f"({notable.low:g} to {notable.high:g}); of the running top ten: {frontier.factor:g} "
            f"({frontier.low:g} to {frontier.high:g})"
        ),
        Styled(f"  largest so far: {found.demand.frontier.name}, {found.demand.frontier.flop:.3g} FLOPs"),
        _title("Supply and the gap: China's computing power, every edition of the forecast"),
        _gap_table(found),
        Styled(
            "  accelerators delivered worldwide by the end of 2025 could make "
            f"{_range(found.world.runs, 0)} runs of the largest size a year"
        ),
        _title("Shares of a cluster's price"),
    ]
    for each in found.shares:
        shares = each.shares
        memory = f", of which memory {_share(shares.memory)}" if shares.memory else ""
        parts.append(
            Styled(
                f"  {each.chip}: accelerators {_share(shares.accelerators)}{memory}; rest of the servers "
                f"{_share(shares.servers)}; network {_share(shares.network)} (quoted)"
            )
        )
    quoted = "; ".join(f"{name} {low:.0%} to {high:.0%}" for name, (low, high) in found.quoted_shares.items())
    chips = found.feasible_shares["chips"][0]
    parts += [
        Styled(f"  quoted: {quoted}; summing to 100% needs chips at {chips:.0%} or more"),
        _title(f"What {found.region} can buy without a licence on {found.on}"),
    ]
    for use, members in found.market.items():
        open_names = [each.chip.name for each in members if each.open]
        shown = [each.chip.name for each in members if each.open and each.ability == "shown"]
        proven = f"; with a published training run: {', '.join(shown) or 'none'}" if use == "training" else ""
        parts.append(Styled(f"  {use}: {len(open_names)} of {len(members)} chips{proven}"))
    early, late = found.published_text_years
    parts += [
        _title("Public text"),
        Styled(
            f"  one training set as large as the stock: {_years(text.year)}, read four times: "
            f"{_years(text.year_with_repeats)}; published: {early} to {late}"
        ),
        _title("Claims checked"),
        *(_claim(claim) for claim in found.claims),
        Styled("Your own: danlu outlook check 'cagr 53.9 103.4 2021 2025'; the page: --html FILE", style="dim"),
    ]
    return Group(*parts)


def check_view(check: Check) -> RenderableType:
    """The arithmetic of a check and its verdict."""
    lines: list[RenderableType] = [Styled(f"  {line.en}") for line in check.lines]
    return Group(*lines, _verdict(check.verdict))


def claim_view(claim: CheckedClaim) -> RenderableType:
    """A claim with its arithmetic and what to do about it."""
    lines: list[RenderableType] = [Styled(f"  {line.en}") for line in claim.lines]
    return Group(Styled(claim.claim.en, style="bold"), *lines, _verdict(claim.verdict), Styled(f"  {claim.todo.en}"))


def _claim(claim: CheckedClaim) -> Styled:
    return Styled.assemble(f"  {claim.claim.en}: ", (claim.verdict, _STYLES.get(claim.verdict, "red")))


def _verdict(verdict: str) -> Styled:
    return Styled.assemble("  verdict: ", (verdict, _STYLES.get(verdict, "red")))


def _gap_table(found: Outlook) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("year", "EFLOPS", "by edition", "largest run", "such runs a year"):
        table.add_column(name, justify="right", no_wrap=True)
    for gap, fan in zip(found.gap, found.supply.fan, strict=True):
        table.add_row(
            str(gap.year),
            f"{gap.supply_eflops.mid:,.0f}",
            f"{gap.supply_eflops.low:,.0f} to {gap.supply_eflops.high:,.0f}" if len(fan.by_vintage) > 1 else "one",
            f"{gap.demand_flop.mid:.2g}",
            _range(gap.runs, 1),
        )
    return table


def _range(value: Range, digits: int) -> str:
    if value.mid >= 10:
        digits = 0
    return f"{value.mid:,.{digits}f} ({value.low:,.{digits}f} to {value.high:,.{digits}f})"


def _years(value: Range) -> str:
    return f"{value.mid:.0f} ({value.low:.0f} to {value.high:.0f})"


def _share(value: Range) -> str:
    return f"{value.mid:.0%} ({value.low:.0%} to {value.high:.0%})"


def _title(words: str) -> Styled:
    return Styled(words, style="bold")
