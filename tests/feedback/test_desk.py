import threading
from collections import Counter
from collections.abc import Callable

import pytest

from danlu.common.errors import DanluError
from danlu.feedback.desk import Desk
from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.feedback.tasks import Lease, Policy, Task, wanted_with_overlap

MakeTask = Callable[..., Task]
PLAIN = Policy(repeat_every=0, gold_every=0)


def take(desk: Desk, annotator: str, **values: object) -> Lease:
    lease = desk.next_task(annotator, **values)  # type: ignore[arg-type]
    assert lease is not None
    return lease


def test_an_answer_in_shown_order_is_kept_in_canonical_order(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(i) for i in range(8)])
    orders = set()
    for i in range(8):
        lease = take(desk, "ann")
        assert sorted(lease.completions) == [f"a{i}", f"b{i}", f"c{i}"]
        best_to_worst = sorted(lease.completions, reverse=True)  # c is best
        ranks = [best_to_worst.index(text) for text in lease.completions]
        flags = [("x",) if text.startswith("b") else () for text in lease.completions]
        ratings = [ord(text[0]) - 96 for text in lease.completions]
        kept = desk.rank(lease.id, ranks, seconds=4.5, note="ok", completion_flags=flags, ratings=ratings)
        assert kept.completions == (f"a{i}", f"b{i}", f"c{i}")
        assert kept.ranks == (2, 1, 0)
        assert kept.completion_flags == ((), ("x",), ())
        assert kept.ratings == (1, 2, 3)
        assert [kept.completions[n] for n in kept.shown] == list(lease.completions)
        assert kept.completion_sources == ("model-1", "model-2", "person")
        assert (kept.annotator, kept.seconds) == ("ann", 4.5)
        orders.add(kept.shown)
    assert len(orders) > 2
    assert desk.next_task("ann") is None
    assert [r.ranks for r in desk.rankings()] == [(2, 1, 0)] * 8


def test_a_lease_tells_nothing_of_where_texts_come_from(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(gold_ranks=(0, 1, 2)), task(1)])
    lease = take(desk, "ann")
    assert "model" not in repr(lease)
    assert "gold" not in repr(lease)


def test_two_people_do_not_get_the_same_task(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0), task(1)])
    first, second = take(desk, "ann"), take(desk, "bob")
    assert first.task != second.task
    assert desk.next_task("cy") is None
    desk.release(first.id)
    assert take(desk, "cy").task == first.task


def test_a_lease_runs_out_and_the_late_answer_still_counts(place: str, task: MakeTask) -> None:
    desk = Desk(place, Policy(lease_seconds=100, repeat_every=0, gold_every=0))
    desk.add_tasks([task(0)])
    first = take(desk, "ann", now=1000.0)
    assert desk.next_task("bob", now=1099.0) is None
    second = take(desk, "bob", now=1101.0)
    assert second.task == first.task
    desk.rank(first.id, (0, 1, 2), now=1200.0)
    desk.rank(second.id, (0, 0, 1), now=1201.0)
    assert {r.annotator for r in desk.rankings()} == {"ann", "bob"}


def test_a_person_resumes_where_they_left(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(i) for i in range(3)])
    first = take(desk, "ann")
    assert take(Desk(place, PLAIN), "ann") == first
    ahead = take(desk, "ann", besides=[first.id])
    assert ahead.task != first.task
    assert take(desk, "ann", besides=[first.id]) == ahead


def test_overlap_is_as_wanted(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0, wanted=3), task(1)])
    seen: Counter[str] = Counter()
    for annotator in ("ann", "bob", "cy", "dan", "eve"):
        while (lease := desk.next_task(annotator)) is not None:
            desk.rank(lease.id, (0, 1, 2))
            seen[lease.prompt[0].content] += 1
    assert seen == {"Question 0?": 3, "Question 1?": 1}
    progress = desk.progress()
    assert (progress.tasks, progress.finished, progress.answers_wanted, progress.answers) == (2, 2, 4, 4)


def test_the_share_of_overlap() -> None:
    wanted = [wanted_with_overlap(f"task {i}", 0.2, 3) for i in range(4000)]
    assert sum(w == 3 for w in wanted) / 4000 == pytest.approx(0.2, abs=0.03)
    assert set(wanted) == {1, 3}


def test_an_answer_sent_twice_counts_once(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0), task(1)])
    lease = take(desk, "ann")
    first = desk.rank(lease.id, (0, 1, 2), id="from-the-page")
    assert desk.rank(lease.id, (2, 1, 0), id="from-the-page") == first
    assert len(list(desk.rankings())) == 1
    with pytest.raises(DanluError, match="answered already"):
        desk.rank(lease.id, (2, 1, 0), id="another")


def test_undo_gives_the_same_task_back(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0), task(1)])
    first = take(desk, "ann")
    desk.rank(first.id, (0, 1, 2))
    second = take(desk, "ann")
    desk.skip(second.id, "unclear")
    for lease in (second, first):
        again = desk.undo("ann")
        assert again is not None
        assert (again.id, again.completions) == (lease.id, lease.completions)
    assert desk.undo("ann") is None
    assert desk.undo("bob") is None
    assert list(desk.rankings()) == []
    assert take(desk, "ann").task == first.task
    desk.rank(first.id, (1, 1, 0))
    assert [r.ranks.count(1) for r in desk.rankings()] == [2]
    assert desk.progress().finished == 1


def test_undo_sent_twice_undoes_once(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0), task(1)])
    for _ in range(2):
        desk.rank(take(desk, "ann").id, (0, 1, 2))
    first = desk.undo("ann", id="u")
    assert desk.undo("ann", id="u") == first
    assert len(list(desk.rankings())) == 1


def test_what_too_many_skip_is_handed_out_no_more(place: str, task: MakeTask) -> None:
    desk = Desk(place, Policy(max_skips=2, repeat_every=0, gold_every=0))
    desk.add_tasks([task(0)])
    for annotator in ("ann", "bob"):
        desk.skip(take(desk, annotator).id, "wrong language")
        assert desk.next_task(annotator) is None
    assert desk.next_task("cy") is None
    assert desk.progress().given_up == 1


def test_what_somebody_can_still_answer(place: str, task: MakeTask) -> None:
    desk = Desk(place, Policy(max_skips=1))
    desk.add_tasks([task(0), task(1, wanted=2), task(2), task(3, gold_ranks=(0, 1, 2))])
    assert desk.open_to("ann") == 3
    desk.rank(take(desk, "ann").id, (0, 1, 2))
    desk.rank(take(desk, "ann").id, (0, 1, 2))
    assert (desk.open_to("ann"), desk.open_to("bob")) == (1, 2)
    desk.skip(take(desk, "ann").id, "unclear")
    assert (desk.open_to("ann"), desk.open_to("bob")) == (0, 1)


def test_repeats_and_test_questions_come_hidden(place: str, task: MakeTask) -> None:
    policy = Policy(repeat_every=5, repeat_distance=3, gold_every=4)
    desk = Desk(place, policy)
    desk.add_tasks([task(i) for i in range(20)])
    desk.add_tasks([task(100 + i, gold_ranks=(0, 1, 2)) for i in range(3)])
    given = []
    while (lease := desk.next_task("ann")) is not None:
        given.append(lease.prompt[0].content)
        desk.rank(lease.id, (0, 1, 2))
    judgements = list(desk.judgements())
    repeats = [j for j in judgements if j.is_repeat]
    gold = [j for j in judgements if j.gold_ranks]
    assert len(repeats) == 3  # a fourth would come after the last task, when nothing is wanted any more
    assert len({j.task for j in repeats}) == 3
    assert len(gold) == 3
    assert len(given) == 26
    assert not judgements[-1].is_repeat
    assert not judgements[-1].gold_ranks
    for judgement in repeats:
        at = [i for i, j in enumerate(judgements) if j.task == judgement.task]
        assert len(at) == 2
        assert at[1] - at[0] > policy.repeat_distance
        first, again = (judgements[i].record for i in at)
        assert isinstance(first, Ranking)
        assert isinstance(again, Ranking)
    assert len(list(desk.rankings())) == 20
    assert len(list(desk.rankings(all_of_them=True))) == 26
    assert desk.progress().answers == 20


def test_demonstrations(place: str) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([Task("demonstrate", prompt_of("Say hi."), labels={"kind": "greeting"})])
    lease = take(desk, "ann")
    with pytest.raises(DanluError, match="asks for a response"):
        desk.rank(lease.id, ())
    kept = desk.demonstrate(lease.id, "hi", now=5.0)
    assert kept == Demonstration(prompt_of("Say hi."), "hi", "page", "ann", 5.0, (), {"kind": "greeting"})
    assert list(desk.demonstrations()) == [kept]


def test_kinds_of_task_can_be_chosen(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0), Task("demonstrate", prompt_of("Say hi."))])
    assert take(desk, "ann", kinds=["demonstrate"]).kind == "demonstrate"
    assert take(desk, "ann", kinds=["rank"]).kind == "rank"
    with pytest.raises(DanluError, match="asks for an order"):
        desk.demonstrate(take(desk, "ann", kinds=["rank"]).id, "text")


def test_wrong_answers_are_refused_and_the_task_stays(place: str, task: MakeTask) -> None:
    desk = Desk(place, PLAIN)
    desk.add_tasks([task(0)])
    lease = take(desk, "ann")
    with pytest.raises(DanluError, match="2 ranks"):
        desk.rank(lease.id, (0, 1))
    with pytest.raises(DanluError, match="never handed out"):
        desk.rank("nonsense", (0, 1, 2))
    assert take(desk, "ann") == lease


def test_the_log_alone_holds_everything(place: str, task: MakeTask) -> None:
    desk = Desk(place, Policy(repeat_every=3, repeat_distance=1, gold_every=3))
    desk.add_tasks([task(i, wanted=1 + i % 2) for i in range(9)])
    desk.add_tasks([task(50, gold_ranks=(0, 1, 2))])
    desk.add_records([Demonstration(prompt_of("Say hi."), "hi")])
    for step in range(30):
        annotator = "ann" if step % 3 else "bob"
        lease = desk.next_task(annotator)
        if lease is None:
            break
        if step % 7 == 3:
            desk.skip(lease.id, "unclear")
        elif step % 7 == 5:
            desk.release(lease.id)
        else:
            desk.rank(lease.id, (0, step % 2, 2))
        if step % 5 == 4:
            desk.undo(annotator)
    before, judged = desk.tables(), list(desk.judgements())
    assert len(judged) > 8
    desk.rebuild()
    assert desk.tables() == before
    assert list(desk.judgements()) == judged


def test_many_at_once_do_each_task_as_often_as_wanted(place: str, task: MakeTask) -> None:
    Desk(place, PLAIN).add_tasks([task(i, wanted=2) for i in range(15)])
    errors: list[BaseException] = []

    def work(annotator: str) -> None:
        try:
            desk = Desk(place, PLAIN)
            while (lease := desk.next_task(annotator)) is not None:
                desk.rank(lease.id, (0, 1, 2))
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            errors.append(error)

    workers = [threading.Thread(target=work, args=(f"p{i}",)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    rankings = list(Desk(place, PLAIN).rankings())
    assert len(rankings) == 30
    assert len({(r.annotator, r.prompt) for r in rankings}) == 30


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "demonstrate"}, "has completions"),
        ({"kind": "pair"}, "exactly two"),
        ({"completions": ("a",), "completion_sources": ()}, "1 completions"),
        ({"gold_ranks": (0, 1)}, "2 right ranks"),
        ({"completion_sources": ("m",)}, "1 sources"),
        ({"wanted": 0}, "wants 0"),
    ],
)
def test_what_is_no_task(task: MakeTask, values: dict[str, object], says: str) -> None:
    with pytest.raises(DanluError, match=says):
        task(**values)
