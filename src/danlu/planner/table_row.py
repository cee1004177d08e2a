"""One row of a table of runs as a training step; what the row does not say is filled by stated rules and named."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip
from danlu.planner.accelerator import GIB, Accelerator, accelerator
from danlu.planner.layout import Layout, Recompute, Sharding
from danlu.planner.models import lookup
from danlu.planner.precision import Precision, parse_precision
from danlu.planner.schedule import LARGEST_BATCH
from danlu.planner.search import MOST_CHIPS
from danlu.planner.shape import Experts, ModelShape, dense_shape
from danlu.planner.software import FP8_EXPERTS, Software, assumes_fp8_experts, software_for

DEFAULT_SEQ_LEN = 4096
TOKENS_PER_CHIP = 65536
"""Tokens a chip and step where a row gives no batch, up to `LARGEST_BATCH` on all."""
USUAL_DAYS = 40.0
"""Days that a run takes where a row says neither chips nor days: between the two weeks of small models and the three
months of large ones."""
USUAL_MFU = 0.4
MOST_USUAL_CHIPS = 16384
"""Chips of the largest published run whose model card prints its hours (Llama 3.1 405B)."""
LEAST_TOKENS_PER_CHIP = 4096
"""Tokens a chip and step that even the largest batch leaves."""

Row = Mapping[str, str]


@dataclass(frozen=True)
class ReadRow:
    """What a row says of a step. None stands for what is to be chosen."""

    shape: ModelShape
    chip: Chip
    accelerator: Accelerator
    precision: Precision
    software: Software
    chips: int
    seq_len: int
    batch: int
    layout: Layout | None
    """None where the row names no degree of parallelism: the search chooses."""
    recompute: Recompute | None
    vpp_open: bool
    """Neither the framework nor the interleaving of the pipeline is named."""
    sharding_open: bool
    """The row does not say what is sharded."""
    micro_open: bool
    """The row gives degrees of parallelism and no micro-batch."""
    unsure: bool
    """Shape, layout or batch had to be filled in."""
    assumed: tuple[str, ...]


def read_row(row: Row, known: tuple[Chip, ...] | None = None) -> ReadRow:
    """Read one row with the columns of a table of published runs; measured columns are never looked at.

    Args:
        known: the chips that there are; the catalogue's by default.

    Raises:
        DanluError: something the prediction needs is missing or cannot be read.
    """
    assumed: list[str] = []
    shape = _shape(row, assumed)
    precision = parse_precision(row.get("precision", "") or "")
    chip, memory_bytes = _chip(row, known)
    chips = _whole(row, "chip_count")
    if chips is None:
        chips = _usual_chips(row, shape, chip)
        assumed.append(f"chip_count {chips}")
    if chips > MOST_CHIPS:
        raise DanluError(f"chip_count is {chips:,}; no cluster has more than a million chips.", "Correct the row.")
    machine = accelerator(
        chip,
        precision,
        alone=chips == 1,
        link_out=link_out(row.get("interconnect", "") or "", int(chip.domain_size.value) if chip.domain_size else 8),
        memory_bytes=memory_bytes,
        power_watts=power_cap(row.get("interconnect", "") or ""),
        infer=True,
    )
    assumed += machine.assumed
    framework, experts = (row.get("framework") or "").strip(), shape.moe is not None
    software = software_for(framework, chip.vendor, chip.released, precision.name, experts)
    if assumes_fp8_experts(framework, precision.name, experts):
        assumed.append(FP8_EXPERTS)
    seq_len = _whole(row, "seq_len")
    if seq_len is None:
        seq_len = DEFAULT_SEQ_LEN
        assumed.append(f"seq_len {seq_len}")
    layout, recompute = _layout(row, shape, chips, software, assumed)
    micro_open = layout is not None and _whole(row, "microbatch") is None
    unsure = micro_open or layout is None or any(word.startswith(("shape", "experts", "seq_len")) for word in assumed)
    batch = _whole(row, "global_batch_seqs")
    tokens = number(row, "global_batch_tokens")
    if batch is None and tokens:
        batch = max(1, round(tokens / seq_len))
    if batch is None:
        replica = layout.dp * layout.micro_batch if layout else 1
        tokens = min(TOKENS_PER_CHIP * chips, max(LARGEST_BATCH, LEAST_TOKENS_PER_CHIP * chips))
        batch = max(1, round(tokens / seq_len / replica)) * replica
        assumed.append(f"batch {batch} sequences")
        unsure = True
    is_open = not (row.get("sharding") or "").strip()
    vpp_open = not (row.get("vpp") or "").strip() and not (row.get("framework") or "").strip()
    return ReadRow(
        shape,
        chip,
        machine,
        precision,
        software,
        chips,
        seq_len,
        batch,
        layout,
        recompute,
        vpp_open,
        is_open,
        micro_open,
        unsure,
        tuple(assumed),
    )


def _usual_chips(row: Row, shape: ModelShape, chip: Chip) -> int:
    """Chips that would take the run `USUAL_DAYS`: what a model card that prints chip-hours alone leaves open.

    Raises:
        DanluError: the row has degrees of parallelism, which leave the replicas open, or no tokens and no chip-hours.
    """
    hours, tokens = number(row, "gpu_hours"), number(row, "tokens_b")
    peak = max((chip.peaks[name].value for name in ("bf16", "fp16") if name in chip.peaks), default=0.0)
    degrees = [name for name in ("tp", "pp", "cp") if _whole(row, name)]
    if degrees or not (tokens or hours) or not peak:
        raise DanluError("the row has no chip_count.", "Give the number of chips.")
    flops = 6 * shape.params("active") * (tokens or 0) * 1e9
    days = (flops / (USUAL_MFU * peak) / 86400) if tokens else (hours or 0) / 24
    return min(max(8, 2 ** round(math.log2(max(days / USUAL_DAYS, 1.0)))), MOST_USUAL_CHIPS)


def link_out(words: str, domain: int) -> float | None:
    """Bytes/s between nodes for one chip, from words such as `4x100Gb Omni-Path per node`; None if there are none."""
    text = words.lower().replace("gbit", "gb").replace("gbps", "gb/s")
    several = re.search(r"(\d+)\s*x\s*(\d+)\s*gb?(?:/s)?", text)
    if several:
        return int(several[1]) * int(several[2]) * 1e9 / 8 / min(domain, 8)
    one = re.search(r"(\d+)\s*gb/s", text)
    if one:
        rate = int(one[1]) * 1e9 / 8
        return rate if "per gpu" in text or "per chip" in text or int(one[1]) <= 400 else rate / min(domain, 8)
    return None


def power_cap(words: str) -> float | None:
    """Watts of a variant with less power, from words such as `H100 500W`; None where they say nothing."""
    found = re.search(r"(\d{2,4})\s*W\b", words)
    return float(found[1]) if found else None


def _chip(row: Row, known: tuple[Chip, ...] | None) -> tuple[Chip, float | None]:
    name = (row.get("chip") or "").strip()
    if not name:
        raise DanluError("the row names no chip.", "Give the chip's name, such as H100.")
    gib = number(row, "chip_mem_gb")
    if gib:
        for each in (f"{name} SXM {gib:g}GB", f"{name} {gib:g}GB"):
            try:
                return find_chip(each, known), gib * GIB
            except DanluError:
                continue
    return find_chip(name, known), gib * GIB if gib else None


def _shape(row: Row, assumed: list[str]) -> ModelShape:
    name = (row.get("model") or "").strip()
    short = re.sub(r"[ -](instruct|chat|base|pretrain|sft|pt)\b.*$", "", name, flags=re.IGNORECASE)
    named = lookup(name) or lookup(short)
    total, active = number(row, "params_total_b"), number(row, "params_active_b")
    layers, hidden = _whole(row, "layers"), _whole(row, "hidden")
    is_moe = (row.get("arch") or "").strip().lower() == "moe" or bool(total and active and active < 0.8 * total)
    if named and not (layers and hidden and (layers, hidden) != (named.shape.layers, named.shape.hidden)):
        shape = named.shape
        vocab = _whole(row, "vocab")
        return replace(shape, vocab=vocab) if vocab else shape
    if layers and hidden:
        shape = _from_columns(row, name, layers, hidden, assumed)
        return _with_experts(shape, total, active, assumed) if is_moe else shape
    if total is None:
        raise DanluError(
            f"the model '{name}' has neither dimensions nor a number of parameters, and is not in the catalogue.",
            "Give layers, hidden, heads and ffn, or params_total_b.",
        )
    assumed.append(f"shape of a {total:g}B model")
    if is_moe and active:
        assumed.append("experts by a common ratio")
        return _mixture(name, total * 1e9, active * 1e9)
    return dense_shape(total * 1e9, name=name)


def _from_columns(row: Row, name: str, layers: int, hidden: int, assumed: list[str]) -> ModelShape:
    heads = _whole(row, "heads")
    if heads is None:
        heads = max(1, hidden // (128 if hidden >= 2048 else 64))
        assumed.append(f"{heads} heads")
    kv_heads = _whole(row, "kv_heads") or heads
    kind = (row.get("ffn_kind") or "").lower()
    matrices = 2 if "2mat" in kind or "gelu" in kind.split("-")[0].split("/")[:1] else 3
    ffn = _whole(row, "ffn")
    if ffn is None:
        ffn = 4 * hidden if matrices == 2 else round(8 * hidden / 3 / 256) * 256
        assumed.append(f"ffn {ffn}")
    vocab = _whole(row, "vocab")
    if vocab is None:
        vocab = 32000
        assumed.append(f"vocab {vocab}")
    head_dim = _whole(row, "head_dim") or max(1, hidden // heads)
    return ModelShape(name or "model", layers, hidden, heads, kv_heads, head_dim, ffn, vocab, matrices)


def _with_experts(shape: ModelShape, total: float | None, active: float | None, assumed: list[str]) -> ModelShape:
    """Experts that explain the total and active parameters, each as wide as the row's ffn."""
    if not total or not active:
        raise DanluError(
            f"the mixture of experts '{shape.name}' lacks total or active parameters.",
            "Give params_total_b and params_active_b.",
        )
    one = shape.layers * shape.ffn_params(shape.ffn)
    rest = shape.params() - one
    used = max(1, round((active * 1e9 - rest) / one))
    count = max(used, _even(round((total * 1e9 - rest) / one)))
    assumed.append(f"{count} experts of which {used} are active")
    return replace(shape, moe=Experts(count=count, active=used, ffn=shape.ffn))


def _mixture(name: str, total: float, active: float) -> ModelShape:
    """A mixture of known sizes and unknown shape: a dense model of the active size, its network cut into 8 experts."""
    dense = dense_shape(active, name=name)
    width = max(64, dense.ffn // 8)
    each = dense.layers * dense.ffn_params(width)
    count = max(8, 8 * round(((total - active) / each + 8) / 8))
    return replace(dense, moe=Experts(count=count, active=8, ffn=width))


def _even(count: int) -> int:
    """The number of experts that rounded parameters leave open: the multiple of 8 within 3%, if there is one."""
    near = 8 * round(count / 8)
    return near if near and abs(near - count) <= 0.03 * count else count


def _layout(
    row: Row, shape: ModelShape, chips: int, software: Software, assumed: list[str]
) -> tuple[Layout | None, Recompute | None]:
    words = (row.get("activation_checkpointing") or "").lower()
    recompute: Recompute | None = None
    if words:
        recompute = "full" if "full" in words else "none" if re.search(r"none|no\b|off|false", words) else "selective"
    degrees = {name: _whole(row, name) for name in ("tp", "pp", "cp", "ep", "dp")}
    if all(degrees[name] is None for name in ("tp", "pp", "dp")):
        return None, recompute
    tp, pp, cp = degrees["tp"] or 1, degrees["pp"] or 1, degrees["cp"] or 1
    ep = (degrees["ep"] or 1) if shape.moe else 1
    inner = tp * pp * cp
    dp = max(1, chips // inner)
    if dp * inner != chips:
        raise DanluError(
            f"tp {tp} x pp {pp} x cp {cp} = {inner} does not divide {chips} chips.", "Correct the degrees."
        )
    stage, group = _sharding(row, software, dp)
    flag = (row.get("seq_parallel") or "").strip().lower()
    sequence = flag in ("1", "true", "yes", "y", "on", "sp") if flag else software.sequence_parallel
    return (
        Layout(
            tp=tp,
            pp=pp,
            vpp=max(1, _whole(row, "vpp") or 1) if pp > 1 else 1,
            dp=dp,
            cp=cp,
            ep=min(ep, tp * cp * dp),
            sharding=stage,
            shard_group=group,
            micro_batch=_whole(row, "microbatch") or 1,
            recompute=recompute or "none",
            sequence_parallel=sequence,
        ),
        recompute,
    )


def _sharding(row: Row, software: Software, dp: int) -> tuple[Sharding, int]:
    words = (row.get("sharding") or "").lower()
    group = re.search(r"group (\d+)", words)
    size = min(int(group[1]), dp) if group else 0
    if "fsdp" in words or "zero3" in words or "zero-3" in words:
        return 3, size
    if "zero2" in words or "zero-2" in words:
        return 2, size
    if re.search(r"zero-?0|none|ddp", words):
        return 0, 0
    if "zero" in words or "optim" in words:
        return 1, size
    return (0 if software.attention == "unfused" else 1), 0


def number(row: Row, name: str) -> float | None:
    """A number of a row, such as `64`, `1,024`, `4M` or `38 (estimated)`; None where it is empty or says n/a.

    Raises:
        DanluError: the field holds something else.
    """
    text = (row.get(name) or "").strip().lstrip("~≈").strip()
    if not text or re.fullmatch(r"n/?a\b.*|none|null|nan|unknown|oom|-+|\?+", text, re.IGNORECASE):
        return None
    found = re.match(r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:[eE][-+]?\d+)?)(?:[kKMBT](?![a-zA-Z]))?", text)
    if not found or re.match(r"[\w,.]", text[found.end() :]):
        raise DanluError(f"{name} is '{text}', which is no number.", "Correct the row.")
    digits = found[0].replace(",", "")
    scale = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(digits[-1], 1.0)
    return float(digits.rstrip("kKMBT")) * scale


def _whole(row: Row, name: str) -> int | None:
    value = number(row, name)
    if value is None:
        return None
    if value <= 0 or value != int(value):
        raise DanluError(f"{name} is {value:g}.", "Give a whole number above 0.")
    return int(value)
