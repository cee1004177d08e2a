"""What a person asked for, as one request, and everything that answers it."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, cast

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip, load_user_chips
from danlu.hardware.catalogue.chip import Price
from danlu.planner.backward import Answer, Wish, chip_of, plan_backwards, scaled
from danlu.planner.cases import Job
from danlu.planner.compare import Ban, Compared, ban, compare, serving_front, usable_precision
from danlu.planner.currency import USD, Currency, parse_exchange, parse_money
from danlu.planner.energy import Site, regions, site
from danlu.planner.layout import RECOMPUTE, Layout, Recompute, Sharding
from danlu.planner.loss import LossLaw
from danlu.planner.market import check_region
from danlu.planner.models import model_shape
from danlu.planner.money import GIVEN_RENT, rent
from danlu.planner.plan import Plan, Setting, make_plan
from danlu.planner.plan_json import answer_json, ban_json, compared_json, plan_json, served_json, serving_json
from danlu.planner.precision import parse_precision
from danlu.planner.search import Scaled, front_over_counts
from danlu.planner.served import Served, served
from danlu.planner.serving import Serving
from danlu.planner.software import FP8_EXPERTS, assumes_fp8_experts, is_known
from danlu.planner.units import compact, parse_budget, parse_tokens

SEQ_LEN = 4096
"""Tokens a sequence where nothing is said."""
LEAST_TEXT = 1e6
"""Distinct tokens below which no plan is made."""


@dataclass(frozen=True)
class Request:
    """The flags of `danlu plan` that make a plan; see there for their meaning."""

    model: str | None = None
    tokens: str | None = None
    chip: str | None = None
    count: int | None = None
    budget: str | None = None
    loss: float | None = None
    tokens_available: str | None = None
    serve: str | None = None
    prompt_tokens: int = 1024
    answer_tokens: int = 1024
    days: float | None = None
    seq_len: int | None = None
    batch_tokens: str | None = None
    precision: str = "bf16"
    framework: str = ""
    tp: int | None = None
    pp: int | None = None
    vpp: int | None = None
    cp: int | None = None
    ep: int | None = None
    zero: int | None = None
    micro_batch: int | None = None
    recompute: str | None = None
    tflops: float | None = None
    usd_per_hour: float | None = None
    rent: str | None = None
    exchange: str | None = None
    region: str | None = None
    on: date | None = None
    """Day of prices and rules; today by default."""
    chips: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The answer to a request."""

    request: Request
    plan: Plan
    answer: Answer | None
    """Of a request backwards."""
    half: Answer | None
    double: Answer | None
    """The same with half and with double the budget; None where that buys nothing."""
    compared: tuple[Compared, ...]
    """By chip, where several were asked for."""
    ban: Ban | None
    serving: Serving | None
    """The instance with the most throughput a chip."""
    serving_options: tuple[Serving, ...]
    """Those that no other beats in throughput a chip and time a token, fastest token first."""
    serving_why_not: str
    """Why there is no instance; empty where there is one."""
    counts: tuple[Scaled, ...]
    """The front of time, memory and number of chips, from half to double the chips."""
    served: Served | None
    """What the tokens of --serve take."""
    scaled_why_not: tuple[str, ...] = ()
    """Why half or double the budget has no plan."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before trusting a figure."""
        found = []
        wished, used = parse_precision(self.request.precision).name, self.plan.step.job.precision.name
        if wished != used:
            found.append(f"{self.plan.chip.name} has no {wished}: planned in {used}")
        if self.plan.shape.doubt:
            found.append(self.plan.shape.doubt)
        if assumes_fp8_experts(self.request.framework, used, self.plan.shape.moe is not None):
            found.append(FP8_EXPERTS)
        if self.request.framework and not is_known(self.request.framework):
            found.append(f"nothing is known here of {self.request.framework}: planned as a plain modern stack")
        if self.request.serve and self.served is None:
            found.append(
                f"no instance of {self.plan.chip.name} serves the model"
                + (": serving counts as 2 FLOPs a parameter and token at the pace of training" if self.answer else "")
            )
        return (*found, *self.plan.notes)


def answer_request(request: Request, law: LossLaw) -> Outcome:
    """Answer a request.

    Raises:
        DanluError: it lacks something, contradicts itself, or cannot be.
    """
    known = load_user_chips(request.chips) if request.chips else None
    if request.region:
        request = replace(request, region=check_region(request.region))
    names = list(dict.fromkeys(name.strip() for name in (request.chip or "").split(",") if name.strip()))
    setting = _setting(request, law)
    why_not: list[str] = []
    backwards = request.budget is not None or (request.loss is not None and request.tokens is None)
    if backwards:
        wish = _wish(request, names[0] if names else None, known)
        answer = plan_backwards(wish, _for(wish.chip, setting))
        plan: Plan = answer.plan
        both = [_scaled(wish, factor, setting, why_not) for factor in (0.5, 2.0)]
    else:
        answer, both = None, [None, None]
        plan = _forwards(request, names, known, setting)

    def same(chip: Chip) -> Plan:
        """The same model, tokens and number of chips on another chip."""
        free = replace(setting, layout=None) if chip != plan.chip else setting
        return make_plan(plan.shape, chip, plan.chips, plan.run.tokens, _for(chip, free))

    def again(chip: Chip) -> Plan:
        """The same budget on another chip, where it is money or FLOPs and the chip has a price; else `same`."""
        budget = answer.wish.budget if answer else None
        priced = any(price.kind == "rent" for price in chip.prices)
        if answer and budget and (budget.kind == "flops" or (budget.kind == "usd" and priced)):
            return plan_backwards(replace(answer.wish, chip=chip), _for(chip, setting)).plan
        return same(chip)

    others = [find_chip(name, known) for name in names]
    if len(others) > 1 and (request.tflops or request.usd_per_hour or request.rent):
        raise DanluError(
            "--tflops, --usd-per-hour and --rent are figures of one chip, and several are compared.",
            "Give one --chip, or put the prices into a TOML file (--chips FILE).",
        )
    compared = compare(others, again, plan.shape, setting) if len(others) > 1 else ()
    found_ban = None
    if request.region:
        asked = others or [plan.chip]
        on = request.on or date.today()
        found_ban = ban(asked, request.region, on, same, plan.shape, setting, known)
    options, serving_why_not = serving_front(plan.shape, plan.chip, setting)
    return Outcome(
        request=request,
        plan=plan,
        answer=answer,
        half=both[0],
        double=both[1],
        compared=compared,
        ban=found_ban,
        serving=options[-1] if options else None,
        serving_options=options,
        serving_why_not=serving_why_not,
        counts=_counts(plan),
        served=served(plan.shape, plan.chip, setting),
        scaled_why_not=tuple(why_not),
    )


def outcome_json(found: Outcome) -> dict[str, Any]:
    """An answer as JSON."""
    result: dict[str, Any] = answer_json(found.answer) if found.answer else {"plan": plan_json(found.plan)}
    result["scaled_why_not"] = list(found.scaled_why_not)
    for name, one in (("half", found.half), ("double", found.double)):
        if one:
            result[name] = answer_json(one)
    result["notes"] = list(found.notes)
    result["compared"] = [compared_json(each) for each in found.compared]
    result["ban"] = ban_json(found.ban) if found.ban else None
    result["serving"] = serving_json(found.serving) if found.serving else None
    result["serving_options"] = [serving_json(each) for each in found.serving_options]
    result["serving_why_not"] = found.serving_why_not or None
    result["served"] = served_json(found.served) if found.served else None
    result["currency"] = {"code": found.plan.currency.code, "per_usd": found.plan.currency.per_usd}
    result["counts"] = [
        {
            "chips": each.chips,
            "layout": each.option.layout.describe(),
            "tokens_per_second": each.option.tokens_per_second,
            "gib_per_chip": each.option.memory_bytes / 2**30,
        }
        for each in found.counts
    ]
    return result


def _scaled(wish: Wish, factor: float, setting: Setting, why_not: list[str]) -> Answer | None:
    """The answer for so many times the budget; None where there is none, or it buys nothing: `why_not` then grows."""
    if wish.budget is None:
        return None
    try:
        return plan_backwards(scaled(wish, factor), _for(wish.chip, setting))
    except DanluError as error:
        why_not.append(f"{'half' if factor < 1 else 'double'} the budget: {error.cause}")
        return None


def _setting(request: Request, law: LossLaw) -> Setting:
    recompute: Recompute | None = None
    if request.recompute is not None:
        if request.recompute not in RECOMPUTE:
            raise DanluError(f"there is no recompute '{request.recompute}'.", f"It is {', '.join(RECOMPUTE)}.")
        recompute = request.recompute
    positive = (
        ("--loss", request.loss),
        ("--days", request.days),
        ("--prompt-tokens", request.prompt_tokens),
        ("--answer-tokens", request.answer_tokens),
        ("--seq-len", request.seq_len),
        ("--tflops", request.tflops),
        ("--usd-per-hour", request.usd_per_hour),
    )
    for flag, value in positive:
        if value is not None and not 0 < value < float("inf"):
            raise DanluError(f"{flag} is {value:g}.", "Give a number above 0.")
    seq_len = request.seq_len or _usual_length(request)
    batch = parse_tokens(request.batch_tokens) if request.batch_tokens else None
    if batch is not None and batch < seq_len:
        raise DanluError(
            f"--batch-tokens {request.batch_tokens} is less than one sequence of {seq_len}.", "Give more, such as 4M."
        )
    unique = parse_tokens(request.tokens_available) if request.tokens_available else None
    if unique is not None and unique < LEAST_TEXT:
        raise DanluError(
            f"--tokens-available is {unique:g}: too few distinct tokens to train on.",
            f"Give {compact(LEAST_TEXT)} or more, such as 300B.",
        )
    return Setting(
        seq_len=seq_len,
        tflops=request.tflops,
        precision=parse_precision(request.precision),
        framework=request.framework,
        batch_tokens=batch,
        recompute=recompute,
        on=request.on or date.today(),
        site=site(request.region) if request.region and request.region.lower() in regions() else Site(),
        law=law,
        unique=unique,
        served=parse_tokens(request.serve) if request.serve else 0.0,
        prompt=request.prompt_tokens,
        answer=request.answer_tokens,
        currency=_currency(request),
    )


def _currency(request: Request) -> Currency:
    return parse_exchange(request.exchange) if request.exchange else USD


def _usual_length(request: Request) -> int:
    """4096 tokens, or as many as the model has learned positions for."""
    positions = model_shape(request.model).positions if request.model else 0
    return min(positions, SEQ_LEN) if positions else SEQ_LEN


def _priced(chip: Chip, request: Request) -> Chip:
    """The chip with the rent that was given, in place of the catalogue's offers."""
    usd = request.usd_per_hour
    if request.rent is not None:
        if usd is not None:
            raise DanluError("--rent and --usd-per-hour say the same.", "Give one of them.")
        money = parse_money(request.rent, _currency(request))
        if money is None or money[0] <= 0:
            raise DanluError(
                f"--rent is '{request.rent}', which is no amount of money.",
                "Write 2.5usd or, with --exchange 7.1CNY for your rate, 18CNY.",
            )
        usd = money[0]
    if usd is None:
        return chip
    on = (request.on or date.today()).isoformat()
    given = Price("rent", usd, on, chip.name, "", GIVEN_RENT)
    return replace(chip, prices=(*(price for price in chip.prices if not price.kind.startswith("rent")), given))


def _for(chip: Chip, setting: Setting) -> Setting:
    return replace(setting, precision=usable_precision(chip, setting.precision))


def _wish(request: Request, name: str | None, known: tuple[Chip, ...] | None) -> Wish:
    layout = [flag for flag, value in _layout_flags(request) if value is not None]
    if layout:
        raise DanluError(
            f"{', '.join(layout)}: a plan backwards searches its layout.",
            "Leave them out; with the model, tokens and chips that it finds, a plan forwards takes a layout.",
        )
    if request.tokens is not None:
        raise DanluError(
            "--budget and --tokens contradict each other.",
            "A budget decides the tokens; the text that there is goes into --tokens-available.",
        )
    budget = parse_budget(request.budget, _currency(request)) if request.budget else None
    chip = _priced(chip_of(budget, name, known), request)
    if budget and budget.kind == "usd":
        rent(chip, request.on or date.today())  # a missing price is said before anything else
    if budget and budget.count and request.count and budget.count != request.count:
        raise DanluError(f"the budget names {budget.count} chips and --count {request.count}.", "Give one of them.")
    if request.days and (request.count or (budget and budget.seconds)):
        raise DanluError(
            "the budget, the number of chips and --days cannot all be given: two of them decide the third.",
            "Leave out --days, or the number of chips.",
        )
    return Wish(
        budget=budget,
        chip=chip,
        count=request.count or 0,
        seconds=(request.days or 0) * 86400,
        loss=request.loss,
        shape=model_shape(request.model) if request.model else None,
    )


def _forwards(request: Request, names: list[str], known: tuple[Chip, ...] | None, setting: Setting) -> Plan:
    missing = [
        flag
        for flag, value in (("--model", request.model), ("--tokens", request.tokens), ("--chip", names or None))
        if not value
    ]
    if request.count is None:
        missing.append("--count")
    if missing:
        nothing = request.model is None and request.tokens is None and not names and request.count is None
        raise DanluError(
            f"a plan needs {', '.join(missing)}{'' if nothing else ' too'}.",
            "Forwards: --model llama3-70b --tokens 15T --chip h100 --count 2048;"
            " backwards: --budget 4.6Musd --chip h100.",
        )
    if request.loss is not None:
        raise DanluError(
            "--loss and --tokens contradict each other: the tokens decide the loss.",
            "Leave out --tokens, and they follow from the loss.",
        )
    if request.days is not None:
        raise DanluError(
            "--days belongs to a budget; here the time follows from --count.", "Leave it out, or change --count."
        )
    assert request.model
    assert request.tokens
    assert request.count is not None
    shape, chip = model_shape(request.model), _priced(find_chip(names[0], known), request)
    setting = replace(_for(chip, setting), layout=_layout(request))
    return make_plan(shape, chip, request.count, parse_tokens(request.tokens), setting)


def _layout_flags(request: Request) -> tuple[tuple[str, int | None], ...]:
    return (
        ("--tp", request.tp),
        ("--pp", request.pp),
        ("--vpp", request.vpp),
        ("--cp", request.cp),
        ("--ep", request.ep),
        ("--zero", request.zero),
        ("--micro-batch", request.micro_batch),
    )


def _layout(request: Request) -> Layout | None:
    given = _layout_flags(request)
    if all(value is None for _, value in given):
        return None
    assert request.count is not None
    tp, pp, cp = request.tp or 1, request.pp or 1, request.cp or 1
    for flag, value in given:
        if value is not None and value < (0 if flag == "--zero" else 1):
            raise DanluError(f"{flag} is {value}.", "Give a number above 0.")
    if request.zero is not None and request.zero > 3:
        raise DanluError(f"--zero is {request.zero}.", "ZeRO has stages 0 to 3.")
    inner = tp * pp * cp
    if request.count % inner:
        raise DanluError(
            f"tp {tp} x pp {pp} x cp {cp} = {inner} does not divide {request.count} chips.",
            "Change the degrees or --count.",
        )
    return Layout(
        tp=tp,
        pp=pp,
        vpp=request.vpp or 1,
        dp=request.count // inner,
        cp=cp,
        ep=request.ep or 1,
        sharding=cast(Sharding, 1 if request.zero is None else request.zero),
        micro_batch=request.micro_batch or 1,
        recompute=cast(Recompute, request.recompute or "none"),
    )


def _counts(plan: Plan) -> tuple[Scaled, ...]:
    if plan.search is None or plan.chips < 8:
        return ()
    job: Job = plan.step.job
    return front_over_counts(job, [plan.chips // 2, plan.chips, plan.chips * 2])
