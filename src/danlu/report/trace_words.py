"""The trace of a plan in Chinese: names of figures, units, formulas and sources; the planner writes them in English."""

import re

from danlu.planner.ledger import Entry
from danlu.report.language import Text
from danlu.report.plan_words import chinese

TERMS = {
    "matrix products": "矩阵乘",
    "attention": "注意力",
    "memory traffic": "访存",
    "experts": "专家",
    "expert exchange": "专家通信",
    "tensor parallel": "张量并行",
    "context parallel": "上下文并行",
    "head and loss": "输出头与损失",
    "recompute": "重算",
    "launching": "核启动",
    "pipeline bubble": "流水线气泡",
    "pipeline transfer": "流水线传输",
    "data parallel": "数据并行",
    "optimizer": "优化器",
    "jitter and fixed": "抖动与固定开销",
}
"""Parts of a step."""
MEMORY_PARTS = {
    "weights": "权重",
    "gradients": "梯度",
    "optimizer": "优化器",
    "activations": "激活",
    "logits": "logits",
    "buffers": "缓冲",
    "fragmentation": "碎片",
}
"""Parts of a chip's memory."""
_NAMES = {
    "tokens": "词元",
    "chips": "芯片数",
    "sequence length": "序列长度",
    "batch": "批量",
    "layers": "层数",
    "hidden": "隐藏宽度",
    "heads": "注意力头数",
    "kv_heads": "键值头数",
    "ffn": "前馈宽度",
    "vocab": "词表",
    "tp": "张量并行度",
    "pp": "流水线级数",
    "vpp": "每级交错块数",
    "dp": "数据并行度",
    "cp": "上下文并行度",
    "ep": "专家并行度",
    "micro_batch": "微批",
    "sharding": "ZeRO 阶段",
    "memory of the chip": "芯片显存",
    "memory bandwidth": "显存带宽",
    "links inside a domain": "域内互联",
    "links between domains": "域间互联",
    "power of the chip": "芯片功率",
    "peak of 16-bit products": "16 位矩阵乘峰值",
    "rate of 16-bit products": "16 位矩阵乘速率",
    "peak of products of the linear layers": "线性层矩阵乘峰值",
    "rate of products of the linear layers": "线性层矩阵乘速率",
    "parameters": "参数量",
    "active parameters": "激活参数量",
    "FLOPs a token": "每词元 FLOPs",
    "FLOPs of the run": "全程 FLOPs",
    "rate of a chip over the run": "全程单卡速率",
    "step time": "步时",
    "tokens a second": "每秒词元",
    "model FLOP/s a chip": "单卡模型 FLOP/s",
    "MFU": "MFU",
    "memory a chip": "单卡显存",
    "steady time": "稳态时间",
    "ramp-up": "爬坡",
    "checkpoints": "检查点",
    "failures": "故障",
    "evaluation": "评测",
    "wall time": "总时间",
    "goodput": "有效时间占比",
    "chip-hours": "卡时",
    "rent": "租金",
    "owning": "自有",
    "energy": "能耗",
    "carbon": "碳排放",
    "expected loss": "预期损失",
}
_COEFFICIENTS = {
    "sustained": "训练中矩阵乘速率与最好实测速率之比：功率与时钟",
    "traffic": "矩阵乘操作数访存中未被计算掩盖的份额",
    "flash": "宽头融合注意力速率与矩阵乘最好速率之比",
    "early": "第一代融合注意力与芯片自家核之比",
    "portable": "为旧芯片所写的融合注意力与芯片自家核之比",
    "flash_dim": "融合注意力速率减半时的头宽",
    "flash_len": "融合注意力速率减半时的序列长度",
    "softmax": "注意力未融合时，前向遍历分数矩阵的次数",
    "misaligned": "头宽非 8 的倍数时未融合注意力的代价",
    "elementwise": "归一化、残差与激活的访存次数与融合下限之比",
    "cast": "8 位矩阵乘缩放与转换因子的遍历次数",
    "loss": "logits 的 32 位遍历次数，前向与反向",
    "grouped": "专家分组矩阵乘与单个矩阵乘的速率之比",
    "permute": "前向排序与聚集路由词元的遍历次数",
    "launch": "前向启动一层各核的秒数",
    "launch_moe": "含专家的一层前向另需的秒数",
    "fused": "调优软件栈的访存、转换与启动和普通软件栈之比",
    "link_in": "域内集合通信速率与标称之比",
    "link_out": "域间集合通信速率与标称之比",
    "latency_in": "域内一次集合通信至少的秒数",
    "latency_out": "域间集合通信每跳至少的秒数",
    "tp_exposed": "现代软件未能掩盖的张量并行通信份额",
    "tp_tuned": "调优软件栈切分矩阵乘加以掩盖后的同一份额",
    "dp_exposed": "从未被掩盖的梯度通信份额",
    "fsdp_exposed": "分片权重的通信中从未被掩盖的份额",
    "ep_exposed": "未掩盖的专家并行通信份额",
    "ep_hidden": "由另一微批掩盖后的同一份额（DualPipe）",
    "pp_exposed": "级间传递激活与纯传输时间之比",
    "accumulate": "累加微批梯度的遍历次数与下限之比",
    "accumulate_deepspeed": "2021–22 年的 DeepSpeed 与其余软件的同一比值",
    "optimizer": "优化器访存次数与下限之比",
    "jitter": "域数翻倍使一步变慢的份额",
    "fixed": "每步其余秒数（数据、范数、日志）",
}
_MEMORY = {
    "fixed": "驱动、通信库与工作区的字节数",
    "fixed_deepspeed": "2021–22 年 Megatron-DeepSpeed 的同一字节数，含规约用平铺缓冲",
    "copies_deepspeed": "其 bf16 优化器每参数另存的未分片字节数",
    "fragmentation": "分配器在激活上损失的份额",
    "fragmentation_deepspeed": "该软件日志中的同一份额，含权重与梯度",
    "logit_bytes": "损失函数每个 logit 同时占用的字节数",
    "usable": "运行可用满的显存份额",
    "usable_deepspeed": "该软件日志可见的同一份额",
}
_OPERATIONS = {
    "chip_hours_between_failures": "故障间隔卡时",
    "restart_seconds": "重启秒数",
    "checkpoint_bandwidth": "检查点写带宽",
    "checkpoint_bytes_per_parameter": "检查点每参数字节",
    "ramp_share": "爬坡词元份额",
    "ramp_slowdown": "爬坡减速倍数",
    "evaluation_share": "评测时间份额",
}
_UNITS = {
    "tokens": "词元",
    "chips": "张",
    "sequences": "条",
    "days": "天",
    "s": "秒",
    "h": "小时",
    "tokens/s": "词元/秒",
    "nats/token": "nats/词元",
    "USD": "美元",
}
_FORMULAS = {
    "--tokens, or from the budget": "--tokens，或由预算得出",
    "--count, or from the budget": "--count，或由预算得出",
    "--batch-tokens, or the usual batch of this compute": "--batch-tokens，或此计算量的常用批量",
    "measured, as the catalogue cites": "实测，见目录所引",
    "fitted on published runs (calibration.json)": "由公开训练记录拟合（calibration.json）",
    "fitted on published memory figures (calibration.json)": "由公开显存数据拟合（calibration.json）",
    "exact count of the shape": "由形状精确计数",
    "with the experts of one token only": "只计一个词元经过的专家",
    "6 x parameters in products (active, head included) + causal attention": (
        "6 × 参与矩阵乘的参数（激活部分，含输出头）+ 因果注意力"
    ),
    "FLOPs a token x tokens": "每词元 FLOPs × 词元",
    "--tflops, 6 x active parameters a token": "--tflops，每词元 6 × 激活参数",
    "step-time model (planner/step.py)": "步时模型（planner/step.py）",
    "step-time model, scaled to the given rate": "步时模型，按给定速率缩放",
    "sum of its parts": "各部分之和",
    "80% interval of measured over predicted, sources left out in turn": "实测与预测之比的 80% 区间，逐一留出来源",
    "batch x sequence length / step time": "批量 × 序列长度 / 步时",
    "FLOPs a token x tokens a second / chips": "每词元 FLOPs × 每秒词元 / 芯片数",
    "over the peak": "与峰值之比",
    "Llama 3: 419 interruptions of 16,384 chips in 54 days": "Llama 3：16,384 卡 54 天中断 419 次",
    "tokens / tokens a second": "词元 / 每秒词元",
    "Young 1974: checkpoints every sqrt(2 d M)": "Young 1974：每 sqrt(2 d M) 存一次检查点",
    "share of the time": "时间份额",
    "sum": "求和",
    "steady time / wall time": "稳态时间 / 总时间",
    "chips x wall time": "芯片数 × 总时间",
    "with the step time's interval": "按步时区间",
    "80% interval of the law's forecasts": "该定律预测的 80% 区间",
}
_PREFIXES: dict[str, tuple[str, dict[str, str]]] = {
    "step: ": ("单步：", TERMS),
    "memory: ": ("显存：", MEMORY_PARTS),
    "operations ": ("运维：", _OPERATIONS),
    "coefficient ": ("系数 ", {}),
    "memory ": ("显存系数 ", {}),
    "law ": ("定律 ", {}),
}
_MEANINGS = {"coefficient ": _COEFFICIENTS, "memory ": _MEMORY}
"""What a fitted number is, by the beginning of its name."""
_ENDS = {", low": "，低", ", high": "，高"}


def name(words: str) -> Text:
    """A figure's name, as `--explain` takes it, beside its Chinese one."""
    return Text(words, _chinese_name(words))


def value(number: float, unit: str) -> Text:
    """A figure with its unit."""
    digits = f"{number:.6g}"
    return Text(f"{digits} {unit}".strip(), f"{digits} {_UNITS.get(unit, unit)}".strip())


def origin(entry: Entry, shown: int = 8) -> Text:
    """The formula or source of a figure, and the first of its inputs."""
    formula = Text(entry.how, _chinese_formula(entry))
    if not entry.inputs:
        return formula
    named, more = entry.inputs[:shown], len(entry.inputs) - shown
    rest = Text(f" and {more} others", f"等 {len(entry.inputs)} 项") if more > 0 else Text("", "")
    return Text(
        f"{formula.en} ← {', '.join(named)}{rest.en}",
        f"{formula.zh} ← {'、'.join(_chinese_name(each) for each in named)}{rest.zh}",
    )


def _chinese_name(words: str) -> str:
    for end, said in _ENDS.items():
        if words.endswith(end):
            return _chinese_name(words.removesuffix(end)) + said
    if words in _NAMES:
        return _NAMES[words]
    for prefix, (said, parts) in _PREFIXES.items():
        part = words.removeprefix(prefix)
        if part != words:
            return said + parts.get(part, part)
    return words


def _chinese_formula(entry: Entry) -> str:
    for prefix, parts in _MEANINGS.items():
        meaning = parts.get(entry.name.removeprefix(prefix)) if entry.name.startswith(prefix) else None
        if meaning:
            return f"{meaning}；{_FORMULAS[entry.how.split('; ')[-1]]}"
    if entry.how in _FORMULAS:
        return _FORMULAS[entry.how]
    if found := re.fullmatch(r"shape of (.+)", entry.how):
        return f"{found[1]} 的形状"
    if found := re.fullmatch(r"layout (.+) \(given, or the fastest that fits\)", entry.how):
        return f"布局 {chinese(found[1])}（给定，或放得下的最快者）"
    return chinese(entry.how)
