"""The planner's sentences about what is missing, assumed or forbidden, in Chinese: it writes them in English."""

import re
from functools import partial

from danlu.planner.rules import all_rules
from danlu.report.language import Text
from danlu.report.source_words import chinese_place, chinese_sources

_FIGURES = {
    "memory size": "显存容量",
    "memory bandwidth": "显存带宽",
    "link bandwidth inside its domain, in one direction": "域内单向互联带宽",
    "number of chips in one link domain": "一个互联域的芯片数",
    "link bandwidth between nodes, a chip": "每卡节点间带宽",
    "power": "功耗",
    "die area": "裸片面积",
    "rent": "租金",
    "price": "购价",
    "all chips": "全部芯片",
    "a rent": "租金",
    "a purchase price": "购价",
    "not ": "不",
    "link_in": "域内带宽",
    "link_out": "节点间带宽",
}
_NUMBER = r"[\d.,]+"
_PATTERNS: tuple[tuple[str, str], ...] = (
    # assumed of a chip
    (r"large (\S+) products reach (\S+) of the peak on ([^;]+?): ([^;]+)", "{2} 的大型 {0} 矩阵乘按峰值的 {1} 计：{3}"),
    (r"median of (.+?)'s measured chips nearest in time", "{0} 年代最近的实测芯片之中位数"),
    (r"median of the measured chips with large matrix engines", "大型矩阵引擎实测芯片之中位数"),
    (r"median of all measured chips", "全部实测芯片之中位数"),
    (r"nothing measured", "无实测"),
    (r"rates times (\S+) for (\S+) of (\S+) W", "功率为 {1}/{2} W，速率乘以 {0}"),
    (
        rf"(link_in|link_out) of (.+?) is unpublished: ({_NUMBER}) GB/s, the median of the catalogue",
        "{1} 的{0}未公布：取目录中位数 {2} GB/s",
    ),
    # models, layouts, laws
    (r"(\S+[MBT]) dense\b", "{0} 稠密模型"),
    (r"recompute none\b", "不重算"),
    (r"recompute selective\b", "选择性重算"),
    (r"recompute full of (\d+%)", "{0} 的层全部重算"),
    (r"recompute full\b", "全部重算"),
    (r"(\S+) et al\. (\d+)", "{0} 等 {1}"),
    (r"\(replication of (.+?), approach (\d)\)", "（复现 {0}，方法 {1}）"),
    # notes
    (
        r"no instance of (.+?) serves the model: serving counts as 2 FLOPs a parameter and token at the pace of"
        r" training",
        "{0} 的一个互联域推理不了该模型：推理按每参数每词元 2 FLOPs、训练速率计",
    ),
    (r"no instance of (.+?) serves the model", "{0} 的一个互联域推理不了该模型"),
    (
        r"models of the type '([^']*)' are not known here: (.+?) is read as a usual decoder with a gated feed-forward"
        r" network; check its number of parameters",
        "不认识 {0} 类模型：{1} 按常见的门控前馈解码器读取，请核对其参数量",
    ),
    (r"(\S[^;]*?) has no (\S+): planned in (\S+?)(?=;|$)", "{0} 无 {1}：按 {2} 计"),
    (
        r"experts in fp8: planned as a tuned stack, for no plain one trains them",
        "以 fp8 训练专家：按调优软件栈计，因普通软件栈不支持",
    ),
    (r"nothing is known here of (.+?): planned as a plain modern stack", "对 {0} 一无所知：按普通现代软件栈计"),
    (r"(\S[^;]*?) was released in (\d+), after ([\d-]+)", "{0} 于 {1} 年发布，晚于 {2}"),
    (
        r"(\S+) distinct tokens, (\S+) times over: worth (\S+) fresh ones",
        "{0} 不重复词元，读 {1} 遍：相当于 {2} 新词元",
    ),
    (
        r"money at (\S+ \w+) a US dollar, the rate that was given; the catalogue's prices are in US dollars",
        "金额按所给汇率 1 美元 = {0} 换算；目录价格以美元计",
    ),
    (r"\b(rent|price): (?=no offer)", "{0}："),
    # missing
    (r"nobody has published the (.+?) of (.+?)\.(?=[ ;]|$)", "{1} 的{0}无人公布。"),
    (
        r"(\S[^.;]*?) has no published (\w+) peak( \(published: .+?\))?\.(?=[ ;]|$)",
        "{0} 的 {1} 峰值未公布{2}。",
    ),
    (
        r"Choose another precision or chip, or give it in a TOML file: (.+?)\.(?=[ ;]|$)",
        "请改用其他精度或芯片，或写入 TOML 文件，例如：{0}。",
    ),
    (r"the catalogue has no offer of (a rent|a purchase price) for (.+?)\.(?=[ ;]|$)", "目录中没有 {1} 的{0}报价。"),
    (r"Give it in a TOML file, as in: (.+?)\.(?=[ ;]|$)", "请写入 TOML 文件，例如：{0}。"),
    (
        r"Give one in a TOML file \(--chips FILE\): (.+?)\.(?=[ ;]|$)",
        "请写入 TOML 文件（--chips FILE）：{0}。",
    ),
    (
        r"Add --usd-per-hour 2\.5 here\.",
        "此处可加 --usd-per-hour 2.5。",
    ),
    (
        rf"(.+?) does not fit on ({_NUMBER}) x (.+?): the thriftiest layout needs ({_NUMBER}) GiB a chip and"
        rf" ({_NUMBER}) GiB can be filled\.",
        "{0} 在 {1} 张 {2} 上放不下：最省的布局每卡需 {3} GiB，可用 {4} GiB。",
    ),
    (
        rf"It fits on ({_NUMBER}) of these chips; or take chips with more memory, a smaller model, or shorter"
        r" sequences\.",
        "用 {0} 张即可放下；或改用显存更大的芯片、更小的模型、更短的序列。",
    ),
    (
        r"No number of these chips holds it: take chips with more memory, a smaller model, or shorter sequences\.",
        "再多此种芯片也放不下：请改用显存更大的芯片、更小的模型或更短的序列。",
    ),
    (
        rf"no layout of (.+?) on ({_NUMBER}) chips divides a batch of ({_NUMBER}) sequences\.",
        "{0} 在 {1} 张芯片上没有能整除 {2} 条序列批量的布局。",
    ),
    (
        r"Give another number of chips \(a multiple of 8\) or a larger --batch-tokens\.",
        "请改变芯片数（8 的倍数）或增大 --batch-tokens。",
    ),
    (
        rf"(\S.*?) needs ({_NUMBER}) GiB for its weights and ({_NUMBER}) x (.+?) hold ({_NUMBER}) GiB\.",
        "{0} 的权重需 {1} GiB，{2} 张 {3} 只有 {4} GiB。",
    ),
    (
        r"Quantise it \(one byte a weight\), or serve it on chips with more memory or a larger domain\.",
        "请量化（每权重一字节），或用显存更大、互联域更大的芯片推理。",
    ),
    # money and energy
    (r"(rent|price): (\d+) offers? of ([\d-]+) to ([\d-]+)", "{0}：{2} 至 {3} 的 {1} 份报价"),
    (r"(rent|price): (\d+) offers? of ([\d-]+)", "{0}：{2} 的 {1} 份报价"),
    (r"no offer by (\S+): those from (\S+) on are taken", "{0} 前无报价：取 {1} 起者"),
    (r"no offer in the year before (\S+): those up to (\S+) are taken", "{0} 前一年无报价：取截至 {1} 者"),
    (r" and others\)", " 等)"),
    (
        r"few offers: widened to a factor of (\S+), the spread of chips with many",
        "报价少：按报价多者的离散放宽至 {0} 倍",
    ),
    (r"80% interval of the step time", "步时的 80% 区间"),
    (
        r"server over bare chip: (\d+) dated pairs of offers of (all chips|[^;]+)",
        "整机与裸片价格之比：{1} 的 {0} 对带日期报价",
    ),
    (
        r"lifetime: 6 years \(Alphabet, Microsoft, annual reports since 2023\), 5 \(Amazon, 2025\), 3 \(assumption: one"
        r" generation of chips later\)",
        "寿命：6 年（Alphabet、Microsoft 2023 年起年报）、5 年（Amazon，2025）、3 年（假定：一代芯片之后）",
    ),
    (r"share of hours in use: assumption", "使用时间占比：假定"),
    (
        r"interconnect's share of a cluster: 10 to 20% as quoted in a broker's report",
        "互联占集群之比：券商报告称 10% 至 20%",
    ),
    (r"rated power (\S+) W", "额定功率 {0} W"),
    (
        r"draw of the chip: 0\.6 to 1 of its rated power in training \(assumption; FlagPerf measured 364 of 400 W\)",
        "芯片实耗：训练时为额定功率的 0.6 至 1（假定；FlagPerf 实测 400 W 中 364 W）",
    ),
    (
        r"server over chips: 330 W a 300 W V100 \((.+?)\); 10\.2 kW for eight of 700 W \(DGX H100 data sheet, its"
        r" maximum\); the middle is an assumption",
        "整机与芯片功率之比：300 W 的 V100 计 330 W（{0}）；八张 700 W 计 10.2 kW（DGX H100 资料最大值）；中值为假定",
    ),
    (r"\(Uptime Institute, survey average of 2023\)", "（Uptime Institute 2023 年调查均值）"),
    (
        r"electricity: 0\.05 to 0\.20 USD/kWh \(assumption; give your own\)",
        "电价：0.05 至 0.20 USD/kWh（假定；可自行给出）",
    ),
    (r"grid: 15% about the mean of (.+?) \(assumption\)", "电网：{0} 均值上下 15%（假定）"),
    # export rules
    (r"released during (\d+): in which month, the catalogue does not know", "{0} 年内发布，月份目录未载"),
    (r"released in (\d+)", "{0} 年发布"),
    (r"no published training run in the catalogue", "目录中无公开训练记录"),
    (r"domestic: not an export", "本国产品，不属出口"),
    (
        r"its maker is on the Entity List since (\S+): foundries abroad stop serving it",
        "制造商自 {0} 起列入实体清单：境外代工停止供货",
    ),
    (
        r"wafers of (.+?) are presumed controlled since (\S+): stock, if any",
        "{0} 的晶圆自 {1} 起推定受控：只余库存",
    ),
    (r"trained (.+?) on (\d+) chips(?:, (\S+))? \((.+)\)", "曾训练 {0}，用 {1} 卡（{2} {3}）"),
    (r"rented in its maker's cloud only", "只在制造商自有云出租"),
    (r"access from China is subject to the rules on cloud services", "境内访问受云服务规则约束"),
    (r"announced only", "仅发布，未上市"),
    (r"sold for inference only", "只作推理销售"),
    (r"not known to be sold outside China", "未闻在中国境外销售"),
    (r"throughput unpublished", "算力未公布"),
    (r"memory size unpublished", "显存容量未公布"),
    (r"no published rate in a format that trains", "无可用于训练之格式的公开算力"),
    (r"no rule in force yet", "尚无生效规则"),
    (r"named in a letter", "列于通知函"),
    (r"licences promised", "已承诺发放许可"),
    (r"(not )?under 21000 and 6500", "{0}低于 21000 与 6500"),
    (r"link bandwidth unpublished", "互联带宽未公布"),
    (r"die area unpublished", "裸片面积未公布"),
    (r"memory bandwidth unpublished", "显存带宽未公布"),
    (r"consumer part: exception NAC \(detail unverified\)", "消费级产品：NAC 例外（细节未核实）"),
    (rf"links ({_NUMBER}) GB/s", "互联 {0} GB/s"),
    (rf"memory ({_NUMBER}) GB/s", "显存 {0} GB/s"),
    (rf"density ({_NUMBER})", "密度 {0}"),
)


def chinese(words: str) -> str:
    """The sentences with all that is known here in Chinese; names, formulas and citations stay."""
    for each in all_rules():
        words = words.replace(each.en, each.zh)
    words = chinese_sources(words)
    for pattern, form in _PATTERNS:
        words = re.sub(pattern, partial(_filled, form), words)
    return re.sub(r";(?: |$)(?=[^']*(?:'[^']*'[^']*)*$)", "；", words)  # not inside of a TOML string


def _filled(form: str, found: re.Match[str]) -> str:
    return form.format(*(_FIGURES.get(part or "", chinese_place(part or "")) for part in found.groups()))


def both(words: str) -> Text:
    """The planner's sentences in both languages."""
    return Text(words, chinese(words))
