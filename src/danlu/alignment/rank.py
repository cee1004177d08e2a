"""From sampled completions to rankings, and how far a reward model is right about rankings that it has not seen."""

from collections.abc import Callable, Iterable, Sequence

from danlu.alignment.labeller import Labeller, SimulatedLabellers, gold_scores
from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.outcome import RewardOutcome
from danlu.alignment.queries import Query
from danlu.common.errors import DanluError
from danlu.corpus.toy.instructions import is_held_out
from danlu.evaluation.gold import Estimate, pair_agreement
from danlu.feedback.records import Prompt, Ranking, prompt_text
from danlu.feedback.tasks import Task, wanted_with_overlap

Scores = Callable[[Sequence[Prompt], Sequence[str]], Sequence[float]]
"""A reward model: from prompts, each with a completion, to their scores."""


def ranking_tasks(
    queries: Sequence[Query], texts: Sequence[str], completions: int, overlap: float, source: str, opinions: int = 1
) -> list[Task]:
    """A task for each query whose completions are not all the same; the same text is shown once.

    Args:
        texts: completions of each query, standing together, so many to each.
        overlap: share of the tasks (0 to 1) that at least two people are to answer.
        source: who wrote the completions.
        opinions: people who are to answer each task.
    """
    tasks = []
    for number, query in enumerate(queries):
        some = tuple(dict.fromkeys(texts[number * completions : (number + 1) * completions]))
        if len(some) < 2:
            continue
        tasks.append(
            Task(
                "rank",
                query.prompt,
                some,
                (source,) * len(some),
                max(opinions, wanted_with_overlap(prompt_text(query.prompt), overlap, 2)),
                labels=query.labels,
            )
        )
    if not tasks:
        raise DanluError(
            "every prompt's completions are all the same: there is nothing to rank.",
            "Sample at a higher temperature, or train the model less.",
        )
    return tasks


def simulated_labellers(config: LabellerConfig, tasks: Sequence[Task]) -> Labeller:
    """Labellers who agree with each other as often as asked on tasks like these.

    Raises:
        DanluError: the tasks are not the toy language's, or the completions are too much alike for that.
    """
    return SimulatedLabellers.calibrated(config, tasks)


def together(rankings: Iterable[Ranking]) -> list[Ranking]:
    """What several people said about the same completions as one ranking, by the sum of their ranks (Borda's count).

    Three labellers together are right where one of them errs: Stiennon et al. (2020, section 3.3) saw agreement with
    the researchers rise from 72% to 77%.
    """
    groups: dict[tuple[Prompt, tuple[str, ...]], list[Ranking]] = {}
    for ranking in rankings:
        groups.setdefault((ranking.prompt, ranking.completions), []).append(ranking)
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[Ranking]) -> Ranking:
    if len(group) == 1:
        return group[0]
    first = group[0]
    sums = [sum(ranking.ranks[i] for ranking in group) for i in range(first.num_completions)]
    order = sorted(set(sums))
    return Ranking(
        first.prompt,
        first.completions,
        tuple(order.index(one) for one in sums),
        annotator="+".join(sorted({ranking.annotator for ranking in group if ranking.annotator})),
        completion_sources=first.completion_sources,
        source=first.source,
        labels=first.labels,
    )


def split_rankings(rankings: Iterable[Ranking], share: float) -> tuple[list[Ranking], list[Ranking]]:
    """Rankings to learn from and, by the hash of their prompts, those to be judged by."""
    kept: tuple[list[Ranking], list[Ranking]] = ([], [])
    for ranking in rankings:
        kept[is_held_out(f"rankings\n{prompt_text(ranking.prompt)}", share)].append(ranking)
    return kept


def judge_reward_model(
    learned_from: Sequence[Ranking], held_out: Sequence[Ranking], scores: Scores, tie: float, models: int = 1
) -> RewardOutcome:
    """Compare a reward model with held-out rankings and, on the toy language, with the gold score.

    Args:
        tie: completions whose gold scores are no further apart are equally good.
        models: how many make the scores together.
    """
    pairs = [(ranking.prompt, completion) for ranking in held_out for completion in ranking.completions]
    found = iter(scores(*map(list, zip(*pairs, strict=True))) if pairs else ())
    mine = [[next(found) for _ in ranking.completions] for ranking in held_out]
    order = [[-float(rank) for rank in ranking.ranks] for ranking in held_out]
    gold = length = labellers = gold_all = None
    golds = _golds(held_out)
    if golds is not None:
        gold, gold_all = pair_agreement(mine, golds, tie), pair_agreement(mine, golds)
        lengths = [[float(len(text)) for text in ranking.completions] for ranking in held_out]
        longer = pair_agreement(lengths, golds, tie)
        shorter = pair_agreement([[-x for x in group] for group in lengths], golds, tie)
        length = max((one for one in (longer, shorter) if one), key=lambda one: one.value, default=None)
        labellers = pair_agreement(order, golds, tie)
    return RewardOutcome(
        comparisons=sum(1 for ranking in learned_from for _ in ranking.pairs()),
        labels=pair_agreement(mine, order, 0.0),
        gold=gold,
        length=length,
        labellers=labellers,
        gold_all=gold_all,
        models=models,
    )


def reward_lines(outcome: RewardOutcome) -> list[str]:
    """How far the reward model is right, in a few lines for the terminal."""
    named = {
        "agrees with held-out rankings on": outcome.labels,
        "agrees with gold on": outcome.gold,
        "length alone agrees with gold on": outcome.length,
        "the labellers agree with gold on": outcome.labellers,
    }
    each = f" by each of {outcome.models} models, whose mean score judges" if outcome.models > 1 else ""
    lines = [f"{outcome.comparisons:,} comparisons learned from{each}"] + [
        f"{words} {_share(one)} of {one.count:,} untied pairs" for words, one in named.items() if one
    ]
    if (every := outcome.gold_all) is not None:
        lines.insert(3, f"with pairs in the tie band, which labellers call equal: {_share(every)} of {every.count:,}")
    return lines


def _golds(rankings: Sequence[Ranking]) -> list[list[float]] | None:
    """The gold scores of all completions; None where a ranking is not the toy language's."""
    if not rankings or any("instruction" not in ranking.labels for ranking in rankings):
        return None
    return [gold_scores(Task("rank", one.prompt, one.completions, labels=one.labels)) for one in rankings]


def _share(one: Estimate) -> str:
    return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})"
