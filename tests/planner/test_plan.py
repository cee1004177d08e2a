"""Whole plans: forwards, backwards, compared, banned, traced."""

from datetime import date
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.planner.ledger import trace
from danlu.planner.loss import REPLICATION
from danlu.planner.request import Outcome, Request, answer_request, outcome_json

DAY = date(2024, 6, 30)


def ask(**given: object) -> Outcome:
    """The answer to a request on a fixed day."""
    return answer_request(Request(**{"on": DAY, **given}), REPLICATION)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain() -> Outcome:
    return ask(model="llama3-8b", tokens="1T", chip="h100", count=64)


@pytest.mark.parametrize(("tflops", "days"), [(28.0, 13.0), (24.6, 14.8)])
def test_gpt3_by_its_published_rates(tflops: float, days: float) -> None:
    # 3.14e23 FLOPs at 28 TFLOP/s are 3.1 million V100-hours, 13 days on 10,000; at 1.5 USD an hour 4.6 million USD.
    # Patterson et al. 2021 measured 24.6 TFLOP/s and 14.8 days.
    found = ask(
        model="gpt3", tokens="300B", chip="v100", count=10000, precision="fp16", tflops=tflops, usd_per_hour=1.5
    )
    run, rent = found.plan.run, found.plan.costs.rent
    assert found.plan.split.training_flops == pytest.approx(3.14e23, rel=2e-3)
    assert run.wall_seconds / 86400 == pytest.approx(days, rel=5e-3)
    assert rent is not None
    assert rent.low == rent.mid == rent.high == pytest.approx(1.5 * run.chip_hours)
    if tflops == 28:
        assert run.chip_hours == pytest.approx(3.12e6, rel=2e-3)
        assert rent.mid == pytest.approx(4.68e6, rel=2e-3)


def test_a_plan_forwards_agrees_with_itself(plain: Outcome) -> None:
    plan = plain.plan
    assert plan.run.chip_hours == pytest.approx(64 * plan.run.wall_seconds / 3600)
    assert plan.run.steady_seconds == pytest.approx(1e12 / plan.step.tokens_per_second)
    assert 0.9 < plan.run.goodput < 1
    assert plan.wall.low < plan.wall.mid < plan.wall.high
    assert plan.step.verdict != "does not fit"
    assert 0.2 < plan.step.mfu < 0.7


def test_every_figure_is_traced_to_leaves(plain: Outcome) -> None:
    entries = plain.plan.ledger.entries
    names = {entry.name for entry in entries}
    for entry in entries:
        assert set(entry.inputs) <= names
        assert (entry.origin == "computed") == bool(entry.inputs)
        assert entry.how
    for name in ("wall time", "chip-hours", "memory a chip", "step time", "MFU", "expected loss"):
        leaves = {entry.origin for _, entry in trace(entries, name) if not entry.inputs}
        assert leaves
        assert leaves <= {"given", "catalogue", "published", "calibrated", "assumed"}


@pytest.mark.parametrize(
    ("budget", "chip"),
    [("100kusd", "h100"), ("50k H100-hours", None), ("1e22flops", "a100"), ("64 A100 for 30 days", None)],
)
def test_a_budget_is_spent_and_half_and_double_bracket_it(budget: str, chip: str | None) -> None:
    found = ask(budget=budget, chip=chip)
    assert found.answer is not None
    assert found.half is not None
    assert found.double is not None
    wish = found.answer.wish.budget
    assert wish is not None
    assert found.answer.spent == pytest.approx(wish.amount, rel=0.1)
    losses = [one.plan.split.loss for one in (found.half, found.answer, found.double)]
    assert losses == sorted(losses, reverse=True)
    sizes = [one.plan.shape.params() for one in (found.half, found.answer, found.double)]
    assert sizes == sorted(sizes)


def test_serving_makes_the_model_smaller_and_scarce_text_too() -> None:
    # Parameters beyond what the text feeds fade sooner than repetitions (Muennighoff et al. 2023, section 5).
    free = ask(budget="1e22flops", chip="h100").plan
    served = ask(budget="1e22flops", chip="h100", serve="1T").plan
    scarce = ask(budget="1e22flops", chip="h100", tokens_available="10B").plan
    assert served.shape.params() < free.shape.params()
    assert scarce.shape.params() < free.shape.params()
    assert scarce.run.tokens > free.run.tokens
    assert scarce.split.loss > free.split.loss


def test_a_loss_takes_its_compute_and_says_whether_the_budget_covers_it() -> None:
    found = ask(budget="1e21flops", chip="h100", loss=2.0).answer
    assert found is not None
    assert found.plan.split.loss == pytest.approx(2.0, abs=0.01)
    assert not found.enough


def test_a_ban_judges_training_and_inference_apart() -> None:
    found = ask(model="llama3-8b", tokens="1T", chip="h100,h20", count=64, region="cn", on=date(2024, 6, 30)).ban
    assert found is not None
    by_name = {each.chip.name: each for each in found.training}
    assert not by_name["H100 SXM 80GB"].open
    assert by_name["H20"].sale in ("yes", "notification")
    assert found.alternatives
    assert all(each.chip.name != "H100 SXM 80GB" for each in found.alternatives)
    assert found.serving


def test_compared_chips_go_on_when_one_cannot() -> None:
    found = ask(model="llama3-8b", tokens="1T", chip="h100,mi300x,s5000", count=64).compared
    assert [each.plan is None for each in found] == [False, False, True]
    assert found[2].why_not


def test_serving_needs_no_more_than_the_roofline(plain: Outcome) -> None:
    one = plain.serving
    assert one is not None
    read = plain.plan.shape.matmul_params() * 2 / one.chips
    assert one.token_seconds >= read / 3.35e12
    assert one.decode_tokens_per_second > one.tokens_per_chip_second


def test_json_is_whole(plain: Outcome) -> None:
    found = outcome_json(plain)
    assert {"plan", "compared", "ban", "serving", "counts"} <= set(found)
    assert {"step", "memory", "run", "costs", "loss", "front", "figures", "layout", "model"} <= set(found["plan"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "llama3-8b", "tokens": "15 TB", "chip": "h100", "count": 8}, "bytes, not tokens"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h101", "count": 8}, "Nearest: H100"),
        ({"model": "llama9", "tokens": "1T", "chip": "h100", "count": 8}, "no model"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100"}, "--count"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100", "count": 0}, "--count"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100", "count": 8, "tp": 3}, "does not divide 8"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100", "count": 8, "zero": 4}, "stages 0 to 3"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100", "count": 8, "tflops": -1.0}, "above 0"),
        ({"model": "gpt2", "tokens": "1B", "chip": "h100", "count": 8, "seq_len": 2048}, "--seq-len 1024"),
        ({"model": "llama3.1-405b", "tokens": "1T", "chip": "h100", "count": 8}, "It fits on"),
        ({"budget": "1Musd", "chip": "910b"}, "usd ="),
        ({"budget": "1M", "chip": "h100"}, "1Musd"),
        ({"budget": "1Musd"}, "no chip is named"),
        ({"budget": "1e15usd", "chip": "h100"}, "million chips"),
        ({"budget": "1e22flops", "chip": "h100", "tokens": "1T"}, "contradict"),
        ({"loss": 1.5, "chip": "h100"}, "higher --loss"),
        ({"model": "llama3-8b", "tokens": "1T", "chip": "h100", "count": 8, "region": "xx"}, "Known:"),
    ],
)
def test_bad_input_is_refused_with_a_hint(given: dict[str, object], words: str) -> None:
    with pytest.raises(DanluError) as caught:
        ask(**given)
    assert words in f"{caught.value.cause} {caught.value.remedy}"


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "chips.toml"
    path.write_text(
        '[[chip]]\nname = "Mine"\nvendor = "Me"\nreleased = 2026\npeaks_tflops = { bf16 = 500 }\nmemory_gib = 96\n'
        "bandwidth_gb_s = 3000\nlink_in_gb_s = 400\ndomain_size = 8\nlink_out_gbit_s = 400\n"
        "prices = [{ kind = 'rent', usd = 2, date = '2024-01' }]\n",
        encoding="utf-8",
    )
    found = ask(model="llama3-8b", tokens="1T", chip="mine", count=8, chips=path)
    assert found.plan.chip.name == "Mine"
    assert found.plan.costs.rent is not None
    assert found.plan.costs.missing  # nobody gave its power
