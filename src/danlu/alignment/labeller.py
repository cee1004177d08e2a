"""Who ranks completions: people through the store, or simulated labellers who know the gold score, with human faults.

Both are `Labeller`s, so that a round of alignment does not know which it has. A simulated labeller sees a noisy gold
score (normal noise), leans towards what stands first and what is longer, and calls near scores equal.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import Protocol

import numpy as np
from scipy.special import ndtr

from danlu.alignment.labeller_config import LabellerConfig
from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping
from danlu.corpus.toy.gold import gold
from danlu.corpus.toy.instructions import Instruction
from danlu.feedback.desk import Desk
from danlu.feedback.records import Ranking, fingerprint
from danlu.feedback.tasks import Task

Scorer = Callable[[Task], Sequence[float]]
"""The gold scores of a task's completions."""
NOISE = 0.136
"""Standard deviation of a labeller's error (gold score) with which two agree on 75% of clear pairs, in groups of four
have none to three defects (mean gap 0.24): calibrated by `noise_for` on 1,500 groups, measured 74.6% (NOTES.md)."""
_NORMAL = NormalDist()


class Labeller(Protocol):
    """Whoever ranks."""

    def rankings(self, tasks: Sequence[Task]) -> Iterator[Ranking]:
        """Rankings of some tasks, in canonical order of completions; those that are there by now."""


def gold_scores(task: Task) -> list[float]:
    """The toy language's gold scores; the task's labels hold the instruction.

    Raises:
        DanluError: they do not.
    """
    plain = task.labels.get("instruction")
    if plain is None:
        raise DanluError(
            "a task does not say which instruction of the toy language it is.",
            "Simulated labellers know the toy language only; let people rank the rest.",
        )
    instruction = from_mapping(Instruction, plain, "a task")
    return [gold(instruction, completion) for completion in task.completions]


class SimulatedLabellers:
    """Some labellers who rank by the gold score with noise. Their rankings are a function of (configuration, task)."""

    def __init__(
        self, config: LabellerConfig | None = None, noise: float = NOISE, scorer: Scorer = gold_scores
    ) -> None:
        """
        Args:
            noise: standard deviation of a labeller's error about a score: see `noise_for`.
            scorer: knows the truth.
        """
        self.config = config or LabellerConfig()
        self.noise = noise
        self._scorer = scorer

    @classmethod
    def calibrated(
        cls, config: LabellerConfig, tasks: Iterable[Task], scorer: Scorer = gold_scores
    ) -> "SimulatedLabellers":
        """Labellers who agree as the configuration says on tasks like these, which they know by heart."""
        known = {id(task): (task, scorer(task)) for task in tasks}
        noise = noise_for(config.agreement, [scores for _, scores in known.values()], config.tie_band)

        def remembered(task: Task) -> Sequence[float]:
            return known[id(task)][1] if id(task) in known else scorer(task)

        return cls(config, noise, remembered)

    @property
    def annotators(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"simulated-{i}" for i in range(self.config.annotators))

    def rankings(self, tasks: Sequence[Task]) -> Iterator[Ranking]:
        """Each task ranked by as many of them as it wants answers (at most all)."""
        for task in tasks:
            scores = self._scorer(task)
            name = fingerprint([message.content for message in task.prompt] + list(task.completions))
            start = int(name[:8], 16)
            for i in range(min(task.wanted, self.config.annotators)):
                annotator = self.annotators[(start + i) % self.config.annotators]
                chance = random.Random(f"{self.config.seed}/{annotator}/{name}")
                shown = _shuffled(len(scores), chance)
                yield Ranking(
                    task.prompt,
                    task.completions,
                    self._ranks(task.completions, scores, shown, chance),
                    annotator=annotator,
                    shown=tuple(shown),
                    completion_sources=task.completion_sources,
                    source="simulated",
                    labels=task.labels,
                )

    def _ranks(
        self, completions: Sequence[str], scores: Sequence[float], shown: Sequence[int], chance: random.Random
    ) -> tuple[int, ...]:
        """Ranks in the canonical order, as somebody sees it who was shown this order."""
        config = self.config
        felt = [score + self.noise * _NORMAL.inv_cdf(_inside(chance.random())) for score in scores]
        last = max(len(scores) - 1, 1)
        for place, number in enumerate(shown):
            felt[number] += config.position_bias * (1 - place / last)
            felt[number] += config.length_bias * math.log(max(len(completions[number]), 1))
        return ranks_of(felt, config.tie_band)

    def work(self, desk: Desk, annotator: str) -> int:
        """Answer, as one person at an annotation page, all ranking tasks that a desk hands out; how many."""
        number = 0
        while (lease := desk.next_task(annotator, kinds=("rank", "pair"))) is not None:
            task = desk.task(lease.task)
            chance = random.Random(f"{self.config.seed}/{annotator}/{lease.id}")
            place = {text: i for i, text in reversed(list(enumerate(task.completions)))}
            order = [place[text] for text in lease.completions]
            ranks = self._ranks(task.completions, self._scorer(task), order, chance)
            desk.rank(lease.id, [ranks[i] for i in order])
            number += 1
        return number


class PeopleAtADesk:
    """People who rank at an annotation page: tasks go to their desk, and come back when they are done."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def rankings(self, tasks: Sequence[Task]) -> Iterator[Ranking]:
        """Hand the tasks out if that was not done before; those that are ranked by now."""
        self.desk.add_tasks(tasks)
        wanted = {(task.prompt, task.completions) for task in tasks}
        return (r for r in self.desk.rankings() if (r.prompt, r.completions) in wanted)


def ranks_of(scores: Sequence[float], tie_band: float) -> tuple[int, ...]:
    """Ranks by score, the highest first; a score within the band below a group's first joins the group."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    ranks = [0] * len(scores)
    first, rank = scores[order[0]], 0
    for i in order:
        if first - scores[i] > tie_band:
            first, rank = scores[i], rank + 1
        ranks[i] = rank
    return tuple(ranks)


def expected_agreement(noise: float, score_lists: Iterable[Sequence[float]], tie_band: float) -> float:
    """The share of pairs that two labellers both call different on which they agree, over some groups of scores.

    For pairs by themselves; within a group of several completions a tie can pull in a third.
    """
    gaps = np.array([a - b for scores in score_lists for i, a in enumerate(scores) for b in scores[i + 1 :]])
    if not len(gaps):
        return math.nan
    spread = max(noise * math.sqrt(2.0), 1e-12)
    better, worse = ndtr((gaps - tie_band) / spread), ndtr((-gaps - tie_band) / spread)
    clear = ((better + worse) ** 2).sum()
    return float((better**2 + worse**2).sum() / clear) if clear else math.nan


def noise_for(agreement: float, score_lists: Iterable[Sequence[float]], tie_band: float) -> float:
    """The noise with which two labellers agree on so many pairs of groups with these gold scores, by bisection.

    Raises:
        DanluError: no noise does it: the completions are too much alike.
    """
    groups = [list(scores) for scores in score_lists]
    low, high = 1e-4, 10.0
    best = expected_agreement(low, groups, tie_band)
    if math.isnan(best) or best < agreement - 1e-9:
        raise DanluError(
            f"labellers cannot agree on {agreement:.0%} of these pairs: their gold scores are too much alike.",
            "Ask for less agreement, or sample completions that differ more.",
        )
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if expected_agreement(middle, groups, tie_band) > agreement else (low, middle)
    return low


def _inside(share: float) -> float:
    """A share strictly between 0 and 1, whose normal quantile is finite."""
    return min(max(share, 1e-12), 1 - 1e-12)


def _shuffled(number: int, chance: random.Random) -> list[int]:
    order = list(range(number))
    for i in range(number - 1, 0, -1):
        j = int(chance.random() * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order
