"""Plans as JSON."""

from typing import Any

from danlu.common.strict import to_mapping
from danlu.planner.accelerator import GIB
from danlu.planner.backward import Answer
from danlu.planner.compare import Ban, Compared
from danlu.planner.flops import conventions
from danlu.planner.market import Availability
from danlu.planner.plan import Plan
from danlu.planner.ranges import Range
from danlu.planner.search import Option
from danlu.planner.served import Served
from danlu.planner.serving import Serving


def plan_json(plan: Plan) -> dict[str, Any]:
    """One plan, with the trace of every figure."""
    job, step, run = plan.step.job, plan.step, plan.run
    return {
        "model": {
            "shape": to_mapping(plan.shape),
            "params": plan.shape.params(),
            "active_params": plan.shape.params("active"),
            "flops_per_token": {
                flops.convention: flops.per_token for flops in conventions(plan.shape, job.seq_len, job.layout)
            },
        },
        "chip": plan.chip.name,
        "chips": plan.chips,
        "tokens": run.tokens,
        "precision": job.precision.name,
        "seq_len": job.seq_len,
        "batch_sequences": job.batch,
        "layout": to_mapping(job.layout),
        "assumed": list(job.accelerator.assumed),
        "step": {
            "seconds": step.seconds,
            "low": step.low,
            "high": step.high,
            "terms": step.terms,
            "tokens_per_second": step.tokens_per_second,
            "tflops_per_chip": step.flops_per_chip / 1e12,
            "mfu": step.mfu,
        },
        "memory": {
            "gib_per_chip": step.memory_bytes / GIB,
            "parts": {name: size / GIB for name, size in step.memory_parts.items()},
            "verdict": step.verdict,
        },
        "run": {
            "wall_seconds": _range(plan.wall),
            "steady_seconds": run.steady_seconds,
            "ramp_seconds": run.ramp_seconds,
            "checkpoint_seconds": run.checkpoint_seconds,
            "failure_seconds": run.failure_seconds,
            "evaluation_seconds": run.evaluation_seconds,
            "checkpoint_interval_seconds": run.checkpoint_interval,
            "failures": run.failures,
            "goodput": run.goodput,
            "chip_hours": _range(plan.chip_hours),
        },
        "costs": {
            "rent_usd": _range(plan.costs.rent),
            "owning_usd": _range(plan.costs.owning),
            "energy_kwh": _range(plan.costs.energy_kwh),
            "carbon_tonnes": _range(plan.costs.carbon_tonnes),
            "missing": list(plan.costs.missing),
        },
        "loss": {"value": plan.split.loss, "low": plan.split.low, "high": plan.split.high, "law": plan.law.source},
        "front": [option_json(option) for option in plan.front],
        "figures": [to_mapping(entry) for entry in plan.ledger.entries],
    }


def option_json(option: Option) -> dict[str, Any]:
    """One layout of a front."""
    return {
        "layout": option.layout.describe(),
        "batch_sequences": option.batch,
        "seconds": option.seconds,
        "tokens_per_second": option.tokens_per_second,
        "gib_per_chip": option.memory_bytes / GIB,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """A plan backwards."""
    return {
        "budget": str(answer.wish.budget) if answer.wish.budget else None,
        "spent": answer.spent,
        "enough": answer.enough,
        "params": answer.plan.shape.params(),
        "tokens": answer.plan.run.tokens,
        "loss": {"value": answer.plan.split.loss, "low": answer.plan.split.low, "high": answer.plan.split.high},
        "plan": plan_json(answer.plan),
    }


def compared_json(one: Compared) -> dict[str, Any]:
    """One chip of a comparison."""
    plan = one.plan
    return {
        "chip": one.chip.name,
        "why_not": one.why_not or None,
        "chips": plan.chips if plan else None,
        "layout": plan.step.job.layout.describe() if plan else None,
        "precision": plan.step.job.precision.name if plan else None,
        "wall_seconds": _range(plan.wall) if plan else None,
        "chip_hours": _range(plan.chip_hours) if plan else None,
        "mfu": plan.step.mfu if plan else None,
        "rent_usd": _range(plan.costs.rent) if plan else None,
        "owning_usd": _range(plan.costs.owning) if plan else None,
        "energy_kwh": _range(plan.costs.energy_kwh) if plan else None,
        "missing": list(plan.costs.missing) if plan else [],
        "serving": serving_json(one.serving) if one.serving else None,
    }


def serving_json(one: Serving) -> dict[str, Any]:
    """One instance that serves."""
    return {
        "chips": one.chips,
        "batch": one.batch,
        "prompt": one.prompt,
        "context": one.context,
        "prefill_seconds": one.prefill_seconds,
        "token_seconds": one.token_seconds,
        "tokens_per_chip_second": one.tokens_per_chip_second,
    }


def served_json(one: Served) -> dict[str, Any]:
    """What serving takes."""
    return {"tokens": one.tokens, "chip_hours": one.chip_hours, "rent_usd": _range(one.rent)}


def ban_json(found: Ban) -> dict[str, Any]:
    """What a region has left."""
    return {
        "region": found.region,
        "date": found.on.isoformat(),
        "training": [_availability(each) for each in found.training],
        "inference": [_availability(each) for each in found.inference],
        "alternatives": [compared_json(each) for each in found.alternatives],
        "serving": [{"chip": chip.name, **serving_json(one)} for chip, one in found.serving],
    }


def _availability(each: Availability) -> dict[str, Any]:
    return {
        "chip": each.chip.name,
        "open": each.open,
        "sale": each.sale,
        "ability": each.ability,
        "reasons": list(each.reasons),
    }


def _range(found: Range | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"low": found.low, "mid": found.mid, "high": found.high, "sources": list(found.sources)}
