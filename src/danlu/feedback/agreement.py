"""How far annotators agree: raw, Cohen's and Fleiss' kappa, Krippendorff's alpha, Kendall's tau-b, with intervals.

Every figure is a function of sums over items, so that its interval comes from drawing items anew (bootstrap,
percentiles), which keeps the answers to one item together. Labels are any values that compare; None means no answer.

Sources: Cohen 1960; Fleiss 1971; Krippendorff, "Computing Krippendorff's alpha-reliability" (2011); Kendall 1945.
Yardsticks: annotators of InstructGPT agreed with each other 72.6 +- 1.5% of the time in training and 77.3 +- 1.3% held
out (Ouyang et al. 2022, section 3.4): numbers near 70% are usual, not a failure.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from danlu.common.errors import DanluError
from danlu.feedback.records import Ranking

Array: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = Sequence[Sequence[Hashable]]
"""A row an item, a column an annotator; None: no answer."""
Level = Literal["nominal", "ordinal", "interval"]
CONFIDENCE = 0.95
DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval."""

    value: float
    """NaN where the data do not settle it (no item with two answers, no variation)."""
    low: float
    high: float
    """The bootstrap interval (2.5% to 97.5%); NaN where the value is."""
    items: int
    """How many items it rests on."""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, {self.items} items)"


def bootstrap(per_item: Array, statistic: Callable[[Array], Array], seed: int = 0, draws: int = DRAWS) -> Estimate:
    """A statistic of sums over items, with its interval.

    Args:
        per_item: (items, ...): what each item adds.
        statistic: from sums (draws, ...) to figures (draws,).
    """
    items = len(per_item)
    if items == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    flat = per_item.reshape(items, -1)
    value = float(statistic(per_item.sum(0, keepdims=True))[0])
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, items)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64)
    figures = statistic((weights @ flat).reshape(draws, *per_item.shape[1:]))
    low, high = np.nanpercentile(figures, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Estimate(value, float(low), float(high), items)


def _ratio(above: Array, below: Array) -> Array:
    """A quotient; NaN where it is 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, np.nan)


def _codes(labels: Labels) -> tuple[npt.NDArray[np.int64], int, list[Hashable]]:
    """Labels as whole numbers in their order, -1 for none."""
    values = {label for row in labels for label in row if label is not None}
    try:
        order = sorted(values)  # type: ignore[type-var]
    except TypeError:
        order = sorted(values, key=repr)
    code = {label: i for i, label in enumerate(order)}
    width = max((len(row) for row in labels), default=0)
    table = np.full((len(labels), width), -1, dtype=np.int64)
    for i, row in enumerate(labels):
        for j, label in enumerate(row):
            if label is not None:
                table[i, j] = code[label]
    return table, len(order), order


def _counts(labels: Labels) -> tuple[Array, list[Hashable]]:
    """How often each item got each label (items, labels), for items with at least two answers."""
    table, number, order = _codes(labels)
    counts = np.zeros((len(table), number))
    for column in table.T:
        there = np.flatnonzero(column >= 0)
        counts[there, column[there]] += 1
    return counts[counts.sum(1) >= 2], order


def raw_agreement(labels: Labels, seed: int = 0) -> Estimate:
    """The share of pairs of answers to one item that are the same."""
    counts, _ = _counts(labels)
    same, pairs = (counts * (counts - 1)).sum(1) / 2, counts.sum(1) * (counts.sum(1) - 1) / 2
    return bootstrap(np.stack([same, pairs], 1), lambda sums: _ratio(sums[:, 0], sums[:, 1]), seed)


def unanimity(labels: Labels, seed: int = 0) -> Estimate:
    """The share of items to which all gave the same answer."""
    counts, _ = _counts(labels)
    same = (counts.max(1) == counts.sum(1)).astype(np.float64) if len(counts) else np.zeros(0)
    per_item = np.stack([same, np.ones(len(same))], 1)
    return bootstrap(per_item, lambda sums: _ratio(sums[:, 0], sums[:, 1]), seed)


def cohen_kappa(
    first: Sequence[Hashable], second: Sequence[Hashable], seed: int = 0, *, items: Sequence[int] | None = None
) -> Estimate:
    """Cohen's kappa of two annotators: agreement beyond what their own shares of the labels would give by chance.

    Args:
        first, second: their labels; what only one of them answered is left out.
        items: the item's number that each label belongs to, where several belong to one; labels of an item stay
            together in the interval. None: each label is an item.
    """
    both = [place for place, pair in enumerate(zip(first, second, strict=True)) if None not in pair]
    table, number, _ = _codes([(first[place], second[place]) for place in both])
    _, item = np.unique([place if items is None else items[place] for place in both], return_inverse=True)
    confusion = np.zeros((int(item.max(initial=-1)) + 1, number, number))
    if len(both):
        np.add.at(confusion, (item, table[:, 0], table[:, 1]), 1)

    def kappa(sums: Array) -> Array:
        total = sums.sum((1, 2))
        observed = _ratio(np.trace(sums, axis1=1, axis2=2), total)
        expected = _ratio((sums.sum(1) * sums.sum(2)).sum(1), total**2)
        return _ratio(observed - expected, 1 - expected)

    return bootstrap(confusion, kappa, seed)


def fleiss_kappa(labels: Labels, seed: int = 0) -> Estimate:
    """Fleiss' kappa of any number of annotators.

    Raises:
        DanluError: not every item has the same number of answers; alpha allows that.
    """
    counts, _ = _counts(labels)
    sizes = set(counts.sum(1).tolist())
    if len(sizes) > 1 or len(counts) < len(labels):
        raise DanluError(
            "Fleiss' kappa needs the same number of answers, two or more, to every item.",
            "Use Krippendorff's alpha, which allows gaps.",
        )
    raters = sizes.pop() if sizes else 2.0
    agreement = (counts * (counts - 1)).sum(1) / (raters * (raters - 1))

    def kappa(sums: Array) -> Array:
        items, observed = sums[:, 0], _ratio(sums[:, 1], sums[:, 0])
        expected = ((sums[:, 2:] / (items * raters)[:, None]) ** 2).sum(1)
        return _ratio(observed - expected, 1 - expected)

    return bootstrap(np.column_stack([np.ones(len(counts)), agreement, counts]), kappa, seed)


def krippendorff_alpha(labels: Labels, level: Level = "nominal", seed: int = 0) -> Estimate:
    """Krippendorff's alpha: one minus observed over expected disagreement; any number of annotators, gaps allowed.

    Args:
        level: how far apart two labels are: `nominal` all alike, `ordinal` by how many answers lie between them,
            `interval` by the square of their difference (labels must then be numbers).
    """
    counts, order = _counts(labels)
    numbers = np.array([float(label) for label in order]) if level == "interval" else None  # type: ignore[arg-type]
    return bootstrap(_coincidences(counts), lambda sums: _alpha_of(sums, level, numbers), seed)


def _coincidences(counts: Array) -> Array:
    """An item's ordered pairs of answers by label (items, labels, labels), so weighted that each answer counts once."""
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    return pairs / (counts.sum(1) - 1)[:, None, None]


def _alpha_of(sums: Array, level: Level, numbers: Array | None) -> Array:
    """Alpha from coincidences (draws, labels, labels)."""
    totals = sums.sum(2)
    distance = _distance(totals, level, numbers)
    observed = (sums * distance).sum((1, 2))
    expected = _ratio((totals[:, :, None] * totals[:, None, :] * distance).sum((1, 2)), totals.sum(1) - 1)
    return 1 - _ratio(observed, expected)


def _distance(totals: Array, level: Level, numbers: Array | None) -> Array:
    """Squared differences of labels (draws, labels, labels), given how often each occurs (draws, labels)."""
    if level == "nominal":
        return np.broadcast_to(1.0 - np.eye(totals.shape[1]), (len(totals), totals.shape[1], totals.shape[1]))
    if level == "interval":
        assert numbers is not None
        square = (numbers[:, None] - numbers[None, :]) ** 2
        return np.broadcast_to(square, (len(totals), *square.shape))
    middle = totals.cumsum(1) - totals / 2  # answers below a label, half of its own included
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def kendall_tau_b(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two rankings of the same things, ties allowed; NaN where one of them ties everything."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    upper = np.triu_indices(len(a), 1)
    x, y = np.sign(a[:, None] - a[None, :])[upper], np.sign(b[:, None] - b[None, :])[upper]
    below = math.sqrt(float((x != 0).sum()) * float((y != 0).sum()))
    return float((x * y).sum()) / below if below else math.nan


# Rankings


@dataclass(frozen=True)
class Agreement:
    """How far the annotators of some rankings agree, over the items that two or more of them ranked."""

    items: int
    annotators: int
    pairs: Estimate
    """Share of pairs of completions on which two annotators agree; a tie with a preference counts half."""
    untied_pairs: Estimate
    """The same over pairs that both held to be different: InstructGPT's figure."""
    alpha_nominal: Estimate
    """Over pairs of completions: first better, tie, second better."""
    alpha_ordinal: Estimate
    """Over completions, by rank."""
    tau_b: Estimate
    """Mean over items of the mean over pairs of annotators."""


def grouped(rankings: Iterable[Ranking]) -> list[list[Ranking]]:
    """Rankings of the same prompt and completions together, each in one order of completions; one a person."""
    groups: dict[tuple[object, ...], dict[str, Ranking]] = defaultdict(dict)
    for ranking in rankings:
        order = sorted(range(ranking.num_completions), key=ranking.completions.__getitem__)
        plain = ranking.reordered(order)
        groups[(plain.prompt, plain.completions)][plain.annotator] = plain
    return [list(group.values()) for group in groups.values()]


def agreement(rankings: Iterable[Ranking], seed: int = 0) -> Agreement:
    """How far the annotators of some rankings agree. An annotator's later ranking of an item replaces the earlier."""
    groups = [group for group in grouped(rankings) if len(group) > 1]
    names = sorted({ranking.annotator for group in groups for ranking in group})
    pairs, untied, taus = [], [], []
    for group in groups:
        signs = np.array([_signs(ranking) for ranking in group])  # (annotators, pairs)
        agree = differ = clear = clear_agree = 0.0
        for a, b in combinations(signs, 2):
            differ += len(a)
            agree += float((a == b).sum()) + 0.5 * float(((a == 0) != (b == 0)).sum())
            both = (a != 0) & (b != 0)
            clear += float(both.sum())
            clear_agree += float((a == b)[both].sum())
        pairs.append([agree, differ])
        untied.append([clear_agree, clear])
        found = [kendall_tau_b(a.ranks, b.ranks) for a, b in combinations(group, 2)]
        known = [tau for tau in found if not math.isnan(tau)]
        if known:
            taus.append([sum(known) / len(known), 1.0])

    def share(sums: Array) -> Array:
        return _ratio(sums[:, 0], sums[:, 1])

    def table(rows: list[list[float]]) -> Array:
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2)

    return Agreement(
        len(groups),
        len(names),
        bootstrap(table(pairs), share, seed),
        bootstrap(table(untied), share, seed),
        _alpha_over(groups, names, "nominal", seed),
        _alpha_over(groups, names, "ordinal", seed),
        bootstrap(table(taus), share, seed),
    )


def kappas(rankings: Iterable[Ranking], most: int = 20, seed: int = 0) -> dict[tuple[str, str], Estimate]:
    """Cohen's kappa of each two annotators, over the pairs of completions (first better, tie, second better) that both
    ordered; those with the most rankings in common first.

    Args:
        most: how many of the annotators' pairs.
    """
    common: dict[tuple[str, str], list[tuple[list[int], list[int]]]] = defaultdict(list)
    for group in grouped(rankings):
        for a, b in combinations(sorted(group, key=lambda ranking: ranking.annotator), 2):
            common[a.annotator, b.annotator].append((_signs(a), _signs(b)))
    found = {}
    for names in sorted(common, key=lambda names: (-len(common[names]), names))[:most]:
        first, second = ([sign for signs in common[names] for sign in signs[side]] for side in (0, 1))
        items = [number for number, (signs, _) in enumerate(common[names]) for _ in signs]
        found[names] = cohen_kappa(first, second, seed, items=items)
    return found


def _signs(ranking: Ranking) -> list[int]:
    """For each pair of completions: -1 the first is better, 1 the second, 0 a tie."""
    return [int(np.sign(a - b)) for a, b in combinations(ranking.ranks, 2)]


def _alpha_over(groups: list[list[Ranking]], names: list[str], level: Level, seed: int) -> Estimate:
    """Alpha over the parts of rankings (pairs, or completions); what is drawn anew are whole items."""
    column = {name: i for i, name in enumerate(names)}
    labels: list[list[Hashable]] = []
    item: list[int] = []
    for number, group in enumerate(groups):
        parts = {r.annotator: _signs(r) if level == "nominal" else list(r.ranks) for r in group}
        for part in range(len(next(iter(parts.values())))):
            row: list[Hashable] = [None] * len(names)
            for name, values in parts.items():
                row[column[name]] = values[part]
            labels.append(row)
            item.append(number)
    counts, _ = _counts(labels)  # every part has two answers or more, so none is left out
    if not len(counts):
        return Estimate(math.nan, math.nan, math.nan, 0)
    summed = np.zeros((len(groups), counts.shape[1], counts.shape[1]))
    np.add.at(summed, np.array(item), _coincidences(counts))
    return bootstrap(summed, lambda sums: _alpha_of(sums, level, None), seed)
