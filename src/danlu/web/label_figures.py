"""How the annotators do: agreement, leanings, pace, answers to test questions, and what they judge differently."""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from danlu.common.strict import to_mapping
from danlu.feedback.agreement import agreement, grouped, kappas
from danlu.feedback.desk import Desk
from danlu.feedback.records import Ranking
from danlu.feedback.store import Judgement


def figures(desk: Desk) -> dict[str, Any]:
    """The panel: over all annotators and for each."""
    judged = [each for each in desk.judgements() if each.task and isinstance(each.record, Ranking)]
    plain = [_ranking(each) for each in judged if not each.is_repeat and not each.gold_ranks]
    by_annotator: dict[str, list[Judgement]] = defaultdict(list)
    for each in judged:
        by_annotator[each.record.annotator].append(each)
    beside: dict[str, list[float]] = defaultdict(list)
    for group in grouped(plain):
        for one, other in itertools.permutations(group, 2):
            beside[one.annotator].append(same_order(other.ranks, one.ranks))
    skips = desk.skips()
    return {
        "agreement": to_mapping(agreement(plain)),
        "kappas": [{"annotators": list(names), **to_mapping(found)} for names, found in kappas(plain).items()],
        "position": leaning(wins_by_position(plain)),
        "length": leaning(wins_by_length(plain)),
        "annotators": {
            name: {**_one(by_annotator[name]), "others": _mean(beside[name]), "skips": skips.get(name, 0)}
            for name in sorted({*by_annotator, *skips})
        },
    }


def _one(judged: Sequence[Judgement]) -> dict[str, Any]:
    rankings = [_ranking(each) for each in judged]
    seconds = [ranking.seconds for ranking in rankings if ranking.seconds is not None]
    gold = [same_order(each.gold_ranks, _ranking(each).ranks) for each in judged if each.gold_ranks]
    first = {each.task: _ranking(each) for each in judged if not each.is_repeat}
    again = [
        same_order(first[each.task].ranks, _ranking(each).ranks)
        for each in judged
        if each.is_repeat and each.task in first
    ]
    return {
        "answers": len(judged),
        "median_seconds": statistics.median(seconds) if seconds else None,
        "position": leaning(wins_by_position(rankings)),
        "length": leaning(wins_by_length(rankings)),
        "gold": _mean(gold),
        "repeats": _mean(again),
    }


def wins_by_position(rankings: Iterable[Ranking]) -> Iterator[bool]:
    """For each pair that somebody held to be different: whether the better one was shown first."""
    for ranking in rankings:
        if ranking.shown:
            place = {completion: number for number, completion in enumerate(ranking.shown)}
            for better, worse in ranking.pairs():
                yield place[better] < place[worse]


def wins_by_length(rankings: Iterable[Ranking]) -> Iterator[bool]:
    """For each pair of different lengths that somebody held to be different: whether the better one is longer."""
    for ranking in rankings:
        lengths = [len(text) for text in ranking.completions]
        for better, worse in ranking.pairs():
            if lengths[better] != lengths[worse]:
                yield lengths[better] > lengths[worse]


def leaning(wins: Iterable[bool]) -> dict[str, Any]:
    """A share with Wilson's 95% interval (Wilson 1927); one half is no leaning."""
    found = list(wins)
    number = len(found)
    if not number:
        return {"share": None, "low": None, "high": None, "pairs": 0}
    share, z = sum(found) / number, 1.959964
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return {"share": share, "low": middle - half, "high": middle + half, "pairs": number}


def same_order(first: Sequence[int], second: Sequence[int]) -> float:
    """The share of pairs of completions that two rankings order alike; a tie with a preference counts half."""
    number = len(first)
    same = 0.0
    for i in range(number):
        for j in range(i):
            a, b = _sign(first[i] - first[j]), _sign(second[i] - second[j])
            same += 1.0 if a == b else 0.5 if 0 in (a, b) else 0.0
    return same / math.comb(number, 2)


def conflicts(desk: Desk) -> list[dict[str, Any]]:
    """Completions that two people ordered in opposite ways and nobody has adjudicated, the worst first."""
    found = []
    for group in grouped(desk.rankings()):
        if len(group) < 2 or any(ranking.source == "adjudication" for ranking in group):
            continue
        worst = min(same_order(a.ranks, b.ranks) for i, a in enumerate(group) for b in group[:i])
        opposed = any(
            _sign(a.ranks[i] - a.ranks[j]) * _sign(b.ranks[i] - b.ranks[j]) < 0
            for a in group
            for b in group
            for i in range(a.num_completions)
            for j in range(i)
        )
        if opposed:
            found.append(
                {
                    "prompt": to_mapping(group[0].prompt),
                    "completions": list(group[0].completions),
                    "ranks": {ranking.annotator: list(ranking.ranks) for ranking in group},
                    "notes": {ranking.annotator: ranking.note for ranking in group if ranking.note},
                    "agreement": worst,
                }
            )
    return sorted(found, key=lambda each: each["agreement"])


def _ranking(judgement: Judgement) -> Ranking:
    assert isinstance(judgement.record, Ranking)
    return judgement.record


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"agreement": statistics.fmean(values) if values else None, "answers": len(values)}
