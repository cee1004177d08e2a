"""Predictions with intervals: several laws together, as wide as their backtests say they must be.

The error of a prediction is taken to have five sources, independent of each other: one row's noise about the law, what
a redraw of the runs would change in each law, what the laws differ in from each other, and, beyond the rows, a share
of the drop that is forecast and a little for every factor e of distance, since no law is right. Backtests forecast
rows that are known, with the same sum; the root mean square of their errors over that scale, weighed against what
other tables have shown, is the stretch that is put on every interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from danlu.scaling.backtest import Cut, errors, reach, trust
from danlu.scaling.ensemble import Member, scale_of
from danlu.scaling.laws import Array
from danlu.scaling.rows import Rows

PER_DROP = 0.08
"""Error of a forecast drop beyond the rows, as a share of it."""
PER_REACH = 1e-3
"""Error for every factor e that a variable lies beyond the rows, as a share of the loss."""
PRIOR_STRETCH = 1.1
"""How much wider than the laws themselves say intervals had to be on public tables; the expectation before a
backtest."""
PRIOR_STRENGTH = 6.0
"""How many backtests that expectation counts as."""
PER_CUT = 0.5
"""How many independent backtests each counts as: they overlap."""
_LEAST_WEIGHT = 1e-3
"""Members that count less are left out of a prediction."""


@dataclass(frozen=True)
class Prediction:
    """Predictions at some places, each (m,): losses in nats per token, or shares."""

    predicted: Array
    low: Array
    """Lower ends of the intervals."""
    high: Array
    """Upper ends."""
    level: float
    """Probability that each interval is meant to hold one measured row."""


@dataclass(frozen=True)
class Reckoning:
    """What the sum of a prediction's errors is made of, each (m,), on the log scale of a loss."""

    centre: Array
    laws: Array
    """Standard deviation of the members' predictions about the centre."""
    redraw: Array
    """Standard error from redrawing the runs."""
    noise: Array
    """One row's noise."""
    beyond: Array
    """What the distance adds."""

    @property
    def scale(self) -> Array:
        """Their sum, as independent errors."""
        return np.sqrt(self.laws**2 + self.redraw**2 + self.noise**2 + self.beyond**2)


@dataclass(frozen=True)
class Panel:
    """The members, how much each counts, and how wide their backtests make the intervals."""

    rows: Rows
    """What they are fitted to."""
    members: tuple[Member, ...]
    """Laws on windows of the rows."""
    weights: Array
    """How much each counts (members,), summing to one."""
    cuts: tuple[Cut, ...]
    """The backtests."""
    ratios: tuple[float, ...]
    """Root mean square of each backtest's errors over the scale that was reckoned for them."""
    backtest_error: float | None
    """Root mean square of the members' own forecasts' errors over all backtests; None where there are none."""

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the interval's t distribution."""
        return PRIOR_STRENGTH + PER_CUT * len(self.ratios)

    @property
    def stretch(self) -> float:
        """Factor on the scale of the errors."""
        squares = PRIOR_STRENGTH * PRIOR_STRETCH**2 + PER_CUT * sum(ratio**2 for ratio in self.ratios)
        return float(np.sqrt(squares / self.freedom))

    @property
    def is_share(self) -> bool:
        """Whether shares are predicted and not losses."""
        return self.members[0].law.response == "share"

    def width(self, level: float) -> float:
        """Half-width of an interval over the scale of the errors."""
        return float(stdtrit(self.freedom, 0.5 + level / 2) * self.stretch)

    def reckon(self, values: Mapping[str, Array]) -> Reckoning:
        """Centre and errors at places, each variable (m,)."""
        found = _reckon(self.members, self.weights, self.rows, values, None)
        assert found is not None
        return found

    def predict(self, values: Mapping[str, Array], level: float = 0.95) -> Prediction:
        """Predictions for measured rows at places, each variable (m,)."""
        found = self.reckon(values)
        half = self.width(level) * found.scale
        low, high = found.centre - half, found.centre + half
        if self.is_share:
            return Prediction(found.centre, low, high, level)
        return Prediction(np.exp(found.centre), np.exp(low), np.exp(high), level)


def make_panel(rows: Rows, members: Sequence[Member], cuts: Sequence[Cut]) -> Panel:
    """Weigh members by their backtests, and backtest the weighed whole: each cut with weights from the others."""
    misses = [errors(member, rows, cuts) for member in members]
    ratios, misfits = [], []
    for index, cut in enumerate(cuts):
        values = {name: known[cut.held] for name, known in rows.values.items()}
        found = _reckon(members, trust(members, misses, without=index), rows.some(~cut.held), values, index)
        if found is None:
            continue
        away = found.centre - scale_of(members[0].law, rows.losses[cut.held])
        ratios.append(float(np.sqrt(np.mean((away / found.scale) ** 2))))
        misfits.append(float(np.mean(away**2)))
    error = float(np.sqrt(np.mean(misfits))) if misfits else None
    return Panel(rows, tuple(members), trust(members, misses), tuple(cuts), tuple(ratios), error)


def _reckon(
    members: Sequence[Member], weights: Array, rows: Rows, values: Mapping[str, Array], cut: int | None
) -> Reckoning | None:
    own = [
        (member, weight)
        for member, weight in zip(members, weights, strict=True)
        if weight > _LEAST_WEIGHT and (cut is None or member.cut_thetas[cut] is not None)
    ]
    if not own:
        return None
    share = np.array([weight for _, weight in own])
    share = share / share.sum()
    said = [member.spread(_of(member, values), cut) for member, _ in own]
    centres = np.stack([centre for centre, _ in said])
    centre = share @ centres
    redraw = share @ np.minimum(np.stack([error for _, error in said]), 1.0) ** 2
    noise = float(share @ np.array([member.noise for member, _ in own]) ** 2)
    names = sorted({name for member, _ in own for name in member.law.variables if name in _DISTANT})
    edge = _edge(rows, values, names)
    start = share @ np.stack([member.spread(_of(member, edge), cut)[0] for member, _ in own])
    beyond = np.hypot(PER_DROP * (centre - start), PER_REACH * reach(rows, values, names))
    return Reckoning(
        centre, np.sqrt(share @ (centres - centre) ** 2), np.sqrt(redraw), np.full(len(centre), np.sqrt(noise)), beyond
    )


_DISTANT = ("N", "D", "C", "U", "S1")
"""Variables whose distance from the rows counts."""


def _of(member: Member, values: Mapping[str, Array]) -> dict[str, Array]:
    return {name: values[name] for name in member.law.variables}


def _edge(rows: Rows, values: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """The nearest place within the rows to each place: first down to their compute, then into each range."""
    found = dict(values)
    if "S1" in names:  # of a schedule, the part within the rows' sums and without what its falls bring
        found |= {name: np.zeros_like(values[name]) for name in ("S2", "drop") if name in values}
    if "N" in names and "D" in names:
        most = np.max(rows.values["N"] * rows.values["D"])
        over = np.sqrt(np.maximum(values["N"] * values["D"] / most, 1.0))
        found |= {"N": values["N"] / over, "D": values["D"] / over}
    for name in names:
        found[name] = np.clip(found[name], rows.values[name].min(), rows.values[name].max())
    return found
