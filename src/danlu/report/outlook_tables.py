"""The outlook page's tables: what stands in each cell, in both languages."""

import math
from collections.abc import Iterable, Mapping, Sequence

from danlu.planner.market import REGIONS, Use
from danlu.planner.outlook.access import Access
from danlu.planner.outlook.chain import Link
from danlu.planner.outlook.demand import Demand
from danlu.planner.outlook.gap import GapYear
from danlu.planner.outlook.growth import doubling_months
from danlu.planner.outlook.outlook import Outlook
from danlu.planner.outlook.records import FactRecord
from danlu.planner.outlook.said import Said
from danlu.planner.outlook.supply import Supply
from danlu.planner.ranges import Range
from danlu.planner.rules import all_rules
from danlu.report import figures
from danlu.report.language import Text, same
from danlu.report.sections import Table
from danlu.report.tables import Column

REGION_NAMES = {
    "cn": Text("China", "中国"),
    "us": Text("United States", "美国"),
    "eu": Text("European Union", "欧盟"),
    "gb": Text("United Kingdom", "英国"),
    "jp": Text("Japan", "日本"),
    "kr": Text("South Korea", "韩国"),
    "tw": Text("Taiwan", "台湾"),
    "ca": Text("Canada", "加拿大"),
    "au": Text("Australia", "澳大利亚"),
}
_LINKS = {
    "accelerator": Text("accelerators", "加速器"),
    "edge accelerator": Text("edge accelerators", "边缘加速器"),
    "memory": Text("memory", "存储"),
    "memory materials": Text("memory materials", "存储材料"),
    "memory packaging": Text("memory packaging", "存储封测"),
    "foundry": Text("foundry", "晶圆代工"),
    "equipment": Text("equipment", "设备"),
    "models and cloud": Text("models and cloud", "模型与云"),
}
_ACCESS = {
    "open": Text("some without a licence", "部分无需许可"),
    "licence": Text("licence needed", "需许可"),
    "cloud only": Text("its maker's cloud only", "仅限其云服务"),
    "unknown": Text("figures missing", "参数缺失"),
    "no rule": Text("no rule here speaks of it", "此处规则未涉及"),
}
_NOTHING = same(figures.NONE)


def said(words: Said) -> Text:
    """Words of the planner's as the page's."""
    return Text(words.en, words.zh)


def models_table(demand: Demand) -> Table:
    """Published models, newest first."""
    rows = [
        (
            same(model.name),
            same(f"{model.year:.0f}" if model.year == round(model.year) else f"{int(model.year)}"),
            same(figures.flops(model.flop)),
            same(figures.count(model.params)),
            same(figures.count(model.tokens)),
            same(model.source),
        )
        for model in reversed(demand.models)
    ]
    columns = _columns(
        ("model", "模型", False),
        ("year", "年份"),
        ("FLOPs", "FLOPs"),
        ("parameters", "参数"),
        ("tokens", "词元"),
        ("source", "来源", False),
    )
    return Table(Text("Models, with sources", "模型与来源"), columns, tuple(rows), folded=True)


def growth_table(demand: Demand) -> Table:
    """Measured growths, each with its interval, and those fitted here."""
    rows = []
    for each in demand.measured:
        months = doubling_months(each.factor)
        rows.append(
            (
                said(each.name),
                same(f"{each.first or ''}–{each.last or ''}"),
                same(f"{each.factor:g}"),
                same(f"{each.low:g} – {each.high:g}") if each.low and each.high else _NOTHING,
                Text(f"{months:.1f} months", f"{months:.1f} 个月") if math.isfinite(months) else _NOTHING,
                same(each.source),
            )
        )
    fits = (
        (Text("compute of the language models listed here", "此处所列语言模型的算力"), demand.language),
        (Text("parameters of the models listed here", "此处所列模型的参数"), demand.params),
        (Text("training tokens of the models listed here", "此处所列模型的训练词元"), demand.tokens),
    )
    for name, fit in fits:
        months = fit.doubling_months
        note = Text(
            f"fitted here through {fit.num_points} models, 90% interval; a list of large ones, so above the field",
            f"此处对 {fit.num_points} 个模型拟合，90% 区间；所列为大模型，故高于全行业",
        )
        doubling = Text(f"{months:.1f} months", f"{months:.1f} 个月") if math.isfinite(months) else _NOTHING
        rows.append(
            (name, _NOTHING, same(f"{fit.factor:.2g}"), same(f"{fit.low:.2g} – {fit.high:.2g}"), doubling, note)
        )
    columns = _columns(
        ("series", "序列", False),
        ("years", "年份"),
        ("times a year", "每年倍数"),
        ("interval", "区间"),
        ("doubles in", "翻倍时间"),
        ("source", "来源", False),
    )
    return Table(Text("Growth, measured", "实测增速"), columns, tuple(rows))


def costs_table(demand: Demand) -> Table:
    """What training runs cost."""
    rows = [
        (
            same(cost.name),
            same(str(cost.year)),
            same(f"{cost.low / 1e6:,.1f} – {cost.high / 1e6:,.1f}"),
            same(cost.source),
        )
        for cost in demand.costs
    ]
    columns = _columns(
        ("model", "模型", False), ("year", "年份"), ("million USD", "百万美元"), ("source", "来源", False)
    )
    return Table(Text("What training runs cost", "训练花费"), columns, tuple(rows), folded=True)


def fan_table(found: Supply) -> Table:
    """Computing power by year and edition."""
    rows = []
    for fan in found.fan:
        cells = [fan.by_vintage.get(each.vintage) for each in found.vintages]
        spread = fan.eflops.high / fan.eflops.low
        rows.append(
            (
                same(str(fan.year)),
                *(same(f"{value:,.0f}") if value is not None else _NOTHING for value in cells),
                same(f"{spread - 1:.0%}") if len(fan.by_vintage) > 1 else _NOTHING,
            )
        )
    editions = tuple(Column(Text(f"edition {each.vintage}", f"{each.vintage} 版")) for each in found.vintages)
    columns = (Column(Text("year", "年份"), numeric=False), *editions, Column(Text("highest over lowest", "高低之差")))
    return Table(Text("EFLOPS (FP16) by edition", "各版预测的 EFLOPS（FP16）"), columns, tuple(rows))


def gap_table(found: Sequence[GapYear]) -> Table:
    """Demand beside supply by year."""
    rows = [
        (
            same(str(gap.year)),
            same(_range(gap.supply_eflops, ",.0f")),
            same(f"{gap.demand_flop.mid:.1e}".replace("e+", "e")),
            same(_range(gap.runs, ",.1f")),
            same(_range(gap.days, ",.1f")),
        )
        for gap in found
    ]
    columns = _columns(
        ("year", "年份", False),
        ("EFLOPS", "EFLOPS"),
        ("largest run, FLOPs", "最大训练，FLOPs"),
        ("such runs a year", "一年可做次数"),
        ("days of all of it, a run", "全部算力每次所需天数"),
    )
    return Table(Text("The gap by year", "逐年缺口"), columns, tuple(rows))


def shipped_table(found: Supply) -> Table:
    """Accelerators delivered so far."""
    rows = [
        (
            same(each.maker),
            same(each.region),
            same(each.date),
            same(figures.count(each.h100_equivalents)),
            same(each.source),
        )
        for each in found.shipped
    ]
    columns = _columns(
        ("maker", "厂商", False),
        ("region", "地区", False),
        ("up to", "截至"),
        ("H100 equivalents", "折合 H100"),
        ("source", "来源", False),
    )
    return Table(Text("Accelerators delivered", "已交付加速器"), columns, tuple(rows))


def markets_table(found: Supply) -> Table:
    """Market sizes and their growth between the ends."""
    rows = []
    for market in found.markets:
        mixed = Text("ends of different editions", "两端出自不同版本") if market.mixed else same("")
        points = ", ".join(f"{p.year}: {'>' if p.at_least else ''}{p.busd:g}" for p in market.points)
        growth = same(f"{market.factor - 1:.1%}") if market.factor else _NOTHING
        rows.append((said(market.name), same(points), growth, mixed))
    columns = _columns(
        ("market", "市场", False),
        ("billion USD by year", "各年十亿美元", False),
        ("growth a year", "年均增速"),
        ("note", "说明", False),
    )
    return Table(Text("Markets", "市场规模"), columns, tuple(rows))


def shares_table(found: Outlook) -> Table:
    """Component shares: computed, quoted, and what sums to the whole."""
    rows = []
    for each in found.shares:
        one = each.shares
        memory = same(_percent(one.memory)) if one.memory else _NOTHING
        rows.append(
            (
                Text(f"{each.chip}, from dated offers", f"{each.chip}，据带日期报价"),
                same(_percent(one.accelerators)),
                memory,
                same(_percent(one.servers)),
                same(_percent(one.network)),
            )
        )
    for name, values in (
        (Text("quoted (broker, 2023)", "所引（券商，2023）"), found.quoted_shares),
        (Text("quoted, made to sum to 100%", "所引，按合计 100% 收紧"), found.feasible_shares),
    ):
        ends = {key: same(f"{low:.0%} – {high:.0%}") for key, (low, high) in values.items()}
        rows.append((name, ends["chips"], ends["memory"], _NOTHING, ends["interconnect"]))
    columns = _columns(
        ("cluster", "集群", False),
        ("chips", "芯片"),
        ("memory in them", "其中存储"),
        ("rest of the servers", "服务器其余"),
        ("interconnect", "互连"),
    )
    return Table(Text("Shares of a cluster's price", "集群价格构成"), columns, tuple(rows))


def access_table(found: Outlook) -> Table:
    """What the region could count on, by date."""
    names = {rule.key: rule for rule in all_rules()}
    rows = []
    for day in found.access:
        rules = [names[key] for key in day.rules]
        words = Text("; ".join(rule.en for rule in rules), "；".join(rule.zh for rule in rules))
        if not rules:
            words = Text("before the first rule", "首项规则之前") if day is found.access[0] else Text("now", "此日")
        rows.append((same(day.on), words, *_uses(day.by_use)))
    columns = (Column(Text("from", "自"), numeric=False), Column(Text("what changed", "变化"), numeric=False), *_USES)
    return Table(Text("By date", "按日期"), columns, tuple(rows))


def regions_table(found: Outlook) -> Table:
    """The same on one day for every region."""
    assert set(REGION_NAMES) == set(REGIONS)
    rows = [(REGION_NAMES[region], *_uses(by_use)) for region, by_use in found.regions.items()]
    columns = (Column(Text("region", "地区"), numeric=False), *_USES)
    return Table(Text(f"By region on {found.on}", f"{found.on} 各地区"), columns, tuple(rows))


_USES = (
    Column(Text("for training: chips (from abroad)", "训练：芯片数（国外）")),
    Column(Text("fastest with a published run", "最快且有公开训练者"), numeric=False),
    Column(Text("for inference: chips (from abroad)", "推理：芯片数（国外）")),
    Column(Text("fastest by figures", "参数最快者"), numeric=False),
)


def _uses(by_use: Mapping[Use, Access]) -> tuple[Text, ...]:
    training, inference = by_use["training"], by_use["inference"]
    fastest = f"{inference.fastest} ({inference.share:.0%})" if inference.fastest else figures.NONE
    return (
        same(f"{training.open} ({training.foreign})"),
        same(training.proven or figures.NONE),
        same(f"{inference.open} ({inference.foreign})"),
        same(fastest),
    )


def chain_table(found: Outlook) -> Table:
    """The companies, link by link, as the region's buyers find them."""
    order = list(_LINKS)
    rows = []
    for link in sorted(found.chain, key=lambda each: order.index(each.vendor.link)):
        rows.append(
            (
                _LINKS[link.vendor.link],
                Text(link.vendor.name, f"{link.vendor.name_zh} {link.vendor.name}".strip()),
                same(link.vendor.country),
                Text(link.vendor.products.en, link.vendor.products.zh),
                _limits(link),
                _use_words(link, "training"),
                _use_words(link, "inference"),
            )
        )
    columns = _columns(
        ("link", "环节", False),
        ("company", "公司", False),
        ("country", "国别"),
        ("products", "产品", False),
        ("what the region gets", "该地区可得", False),
        ("open for training", "训练可用", False),
        ("open for inference", "推理可用", False),
    )
    return Table(Text("Companies, link by link", "各环节公司"), columns, tuple(rows))


def _limits(link: Link) -> Text:
    words = _ACCESS[link.access]
    if link.listing:
        listed = Text(f"; Entity List since {link.listing.date}", f"；{link.listing.date} 起列入实体清单")
        words = Text(words.en + listed.en, words.zh + listed.zh)
    if link.rule:
        words = Text(f"{words.en} ({link.rule.citation})", f"{words.zh}（{link.rule.citation}）")
    return words


def _use_words(link: Link, use: Use) -> Text:
    chips = link.open_for[use]
    if not link.chips:
        return _NOTHING
    return same(", ".join(chips)) if chips else Text("none", "无")


def facts_table(facts: Iterable[FactRecord]) -> Table:
    """Figures beside the series."""
    rows = [
        (
            said(each.name),
            same(each.region),
            same(each.year),
            same(f"{each.value} {each.unit}"),
            same(each.source),
            same(each.note),
        )
        for each in facts
    ]
    columns = _columns(
        ("figure", "数字", False),
        ("region", "地区", False),
        ("year", "年份"),
        ("value", "数值", False),
        ("source", "来源", False),
        ("note", "说明", False),
    )
    return Table(
        Text("Other definitions, targets and projections", "其他口径、目标与预测"), columns, tuple(rows), folded=True
    )


def _columns(*heads: tuple[str, str] | tuple[str, str, bool]) -> tuple[Column, ...]:
    return tuple(Column(Text(head[0], head[1]), numeric=len(head) < 3) for head in heads)


def _percent(value: Range) -> str:
    return f"{value.mid:.0%} ({value.low:.0%} – {value.high:.0%})"


def _range(value: Range, form: str) -> str:
    def write(number: float) -> str:
        return f"{number:{',.0f' if number >= 10 else form}}"

    if write(value.low) == write(value.high):
        return write(value.mid)
    return f"{write(value.mid)} ({write(value.low)} – {write(value.high)})"
