"""Checks of how a ladder was run, from its table: recipe, schedules, counts of parameters, and how far a target
lies."""

from collections.abc import Mapping

import numpy as np

from danlu.scaling.laws import Array
from danlu.scaling.rows import Rows
from danlu.scaling.table import Table

_SANE_RATIO = (2.0, 200.0)
"""Tokens a parameter within which one surface was seen to hold on public tables."""
_FAR = 30.0
"""Times the rows' compute beyond which published forecasts failed without a run on the way."""
_MIX_COLUMNS = ("dataset", "data", "mix", "trainset", "corpus", "datamix", "subset", "domain")

Said = tuple[str, str] | tuple[str, str, bool]
"""Code, sentence, and whether it is grave."""


def check_setup(table: Table, rows: Rows) -> list[Said]:
    """What the table says about the recipe of its rows."""
    found: list[Said] = []
    found += _schedules(table, rows)
    found += _counting(table, rows)
    found += _ratios(rows)
    found += _learning_rates(rows)
    found += _collapse(rows)
    found += _mixes(table)
    if (
        "N" in rows.values
        and len(np.unique(rows.values["N"])) == 1
        and "D" in rows.values
        and "step" not in rows.values
    ):
        found.append(
            ("one_size", f"All rows are of one size, N = {rows.values['N'][0]:.4g}: nothing is said about other sizes.")
        )
    return found


def check_places(
    table: Table, fitted: Array, asked: Array, rows: Rows, places: Rows, factors: Mapping[str, float]
) -> list[Said]:
    """What the places of a forecast have that the rows have not."""
    found: list[Said] = []
    far = {name: factor for name, factor in factors.items() if factor > 1.01}
    if far.get("C", 1.0) > _FAR:
        found.append(
            (
                "far",
                f"The farthest row asked for takes {far['C']:.3g} times the compute of the largest that was fitted;"
                f" beyond {_FAR:g} times, forecasts held only where a run on the way had confirmed them. Add one.",
            )
        )
    if far.get("D/N", 1.0) > 1.5:
        found.append(
            (
                "ratio_outside",
                f"Tokens a parameter of the rows asked for lie up to {far['D/N']:.3g} times outside those that were"
                " fitted: that side of the law is a guess. Add runs with such a ratio.",
            )
        )
    for name in _mix_columns(table):
        cells = table.cells[name]
        strange = {cell for cell in cells[asked] if cell is not None} - set(cells[fitted])
        if strange:
            shown = ", ".join(sorted(strange)[:3])
            found.append(
                (
                    "other_mix",
                    f"Column '{name}' has values among the rows asked for that no fitted row has ({shown}): another"
                    " mix of data has another law (a target's final mix moved a published forecast by 3.7%). Fit rows"
                    " of the same mix.",
                )
            )
    return found


def _schedules(table: Table, rows: Rows) -> list[Said]:
    taken = rows.taken.get("schedule")
    if taken is None or "S1" in rows.values:
        return []
    names = sorted({str(cell) for cell in table.cells[taken.column] if cell is not None})
    if len(names) < 2:
        return []
    return [
        (
            "mixed_schedules",
            f"Column '{taken.column}' has {len(names)} schedules ({', '.join(names[:3])}): losses before and after"
            " annealing do not belong in one law (alpha .29 and .30, beta .71 and .58 on one public set). Keep one"
            f" with --where \"{taken.column} == '{names[0]}'\".",
        )
    ]


def _counting(table: Table, rows: Rows) -> list[Said]:
    found: list[Said] = []
    taken = rows.taken.get("N")
    if taken is not None and taken.others:
        others = [name for name in taken.others if table.is_numeric(name)]
        for name in others[:1]:
            ratio = table.numbers(name, "N") / rows.values["N"] if len(table) == len(rows) else np.ones(1)
            ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
            if len(ratio) and ratio.max() / ratio.min() > 1.1:
                found.append(
                    (
                        "counting",
                        f"'{taken.column}' is taken as N; '{name}' counts {ratio.min():.2f} to {ratio.max():.2f} times"
                        " as many, so exponents and tokens a parameter differ with the choice (a = .37 to .70 for the"
                        f" same runs in one log). Say which you use; choose the other with --n '{name}'.",
                    )
                )
    if {"N", "D", "C"} <= rows.values.keys() and "C" in rows.taken and "N" in rows.taken and "D" in rows.taken:
        ratio = rows.values["C"] / (6.0 * rows.values["N"] * rows.values["D"])
        low, high = float(ratio.min()), float(ratio.max())
        if high / low > 1.15 or not 0.5 < float(np.median(ratio)) < 2.0:
            found.append(
                (
                    "compute_rule",
                    f"C is {low:.2f} to {high:.2f} times 6 N D: N is counted by another convention than C, or C holds"
                    " attention, or one pass only. Allocation follows 6 N D; check the columns.",
                )
            )
    return found


def _ratios(rows: Rows) -> list[Said]:
    if not {"N", "D"} <= rows.values.keys():
        return []
    ratio = rows.values["D"] / rows.values["N"]
    outside = (ratio < _SANE_RATIO[0]) | (ratio > _SANE_RATIO[1])
    if outside.mean() < 0.05:
        return []
    return [
        (
            "ratio_range",
            f"{outside.mean():.0%} of the rows lie outside {_SANE_RATIO[0]:g} to {_SANE_RATIO[1]:g} tokens a parameter"
            f" (they run from {ratio.min():.3g} to {ratio.max():.3g}), where one surface seldom holds. Unless the"
            f" target lies there, keep the rest with --where 'D/N > {_SANE_RATIO[0]:g} and D/N < {_SANE_RATIO[1]:g}'"
            " (with the table's own column names).",
        )
    ]


def _learning_rates(rows: Rows) -> list[Said]:
    """Is the learning rate tuned at every size? A sweep whose best is at its edge is not."""
    if "lr" not in rows.values or "N" not in rows.values or "S1" in rows.values:
        return []
    rates, params = rows.values["lr"], rows.values["N"]
    data = rows.values.get("D", np.ones_like(params))
    edges, swept = 0, 0
    for size in np.unique(params):
        for amount in np.unique(data[params == size]):
            cell = (params == size) & (data == amount)
            tried = np.unique(rates[cell])
            if len(tried) >= 3:
                swept += 1
                best = rates[cell][np.argmin(rows.losses[cell])]
                edges += bool(best in (tried[0], tried[-1]))
    if swept and edges / swept > 0.2:
        return [
            (
                "untuned_lr",
                f"At {edges} of {swept} sizes and lengths the best learning rate is at an end of the sweep: the true"
                " best may lie outside, and the loss of those runs is too high. Widen the sweep there.",
            )
        ]
    if not swept and len(np.unique(params)) >= 3 and len(np.unique(rates)) == 1:
        return [
            (
                "untuned_lr",
                f"All sizes were trained with the learning rate {rates.flat[0]:g}; the best falls with size (about"
                " N^-1/3 to N^-0.7), so some sizes are worse than they need be, which bends the law. Sweep it at two"
                " sizes or more.",
            )
        ]
    return []


def _collapse(rows: Rows) -> list[Said]:
    """Do the normalised curves of all sizes coincide (Qiu et al. 2025)? Where they do not, a recipe is off
    somewhere."""
    if not {"step", "N"} <= rows.values.keys() or "S1" in rows.values:
        return []
    shares = np.linspace(0.3, 1.0, 8)
    curves, sizes = [], []
    for run in np.unique(rows.clusters):
        own = np.flatnonzero(rows.clusters == run)
        if len(own) < 6:
            continue
        own = own[np.argsort(rows.values["step"][own])]
        steps, losses = rows.values["step"][own], rows.losses[own]
        if steps[0] > 0.3 * steps[-1] or len(np.unique(steps)) < len(steps):
            continue
        curves.append(np.interp(shares, steps / steps[-1], losses / losses[-1]))
        sizes.append(rows.values["N"][own[0]])
    if len(set(sizes)) < 3:
        return []
    spread = float(np.std(np.stack(curves)[:, 0]))
    height = float(np.mean(np.stack(curves)[:, 0])) - 1.0
    if height > 0 and spread > 0.25 * height:
        return [
            (
                "no_collapse",
                f"The runs' curves do not coincide when each is divided by its final loss: at 30% of training they"
                f" differ by {spread:.1%} where the fall still to come is {height:.1%}. A learning rate, warm-up or"
                " schedule is not carried over rightly from size to size; check the sizes one by one.",
            )
        ]
    return []


def _mixes(table: Table) -> list[Said]:
    found: list[Said] = []
    for name in _mix_columns(table):
        kinds = sorted({str(cell) for cell in table.cells[name] if cell is not None})
        if 2 <= len(kinds) <= 12:
            found.append(
                (
                    "mixed_data",
                    f"Column '{name}' has {len(kinds)} values ({', '.join(kinds[:3])}), through which one law"
                    f" goes; their losses may not be comparable. Keep one with --where \"{name} == '{kinds[0]}'\".",
                )
            )
    return found


def _mix_columns(table: Table) -> list[str]:
    plain = {name: "".join(c for c in name.lower() if c.isalnum()) for name in table.names}
    return [name for name in table.names if plain[name] in _MIX_COLUMNS and not table.is_numeric(name)]
