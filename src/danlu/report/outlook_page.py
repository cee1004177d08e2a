"""The page of the outlook: demand, supply, the gap, prices, the chain, text and claims, in one file."""

import math
from pathlib import Path

from markupsafe import Markup

from danlu.planner.outlook.claims import CheckedClaim
from danlu.planner.outlook.outlook import Outlook
from danlu.planner.outlook.text import REPEATS
from danlu.planner.ranges import Range
from danlu.report import figures
from danlu.report import outlook_tables as tables
from danlu.report.language import Language, Text, same
from danlu.report.outlook_pictures import (
    Bar,
    Dot,
    Layout,
    Level,
    Track,
    YearPicture,
    share_bars,
    variants,
    year_picture,
)
from danlu.report.sections import Finding, Section, SectionPage, render_sections, write_sections

_LAST = 2030
_VERDICTS = {
    "consistent": (Text("consistent", "相符"), "good"),
    "computed": (Text("computed: nothing was claimed to compare with", "已算出：无可对照的说法"), "so"),
    "conditional": (Text("holds on a condition only", "仅在一定条件下成立"), "so"),
    "outdated": (Text("outdated", "已过时"), "so"),
    "mislabelled": (Text("mislabelled", "张冠李戴"), "bad"),
    "does not add up": (Text("does not add up", "算不通"), "bad"),
    "impossible": (Text("impossible", "不可能"), "bad"),
}


def write_outlook(found: Outlook, path: Path) -> None:
    """Write the page.

    Raises:
        DanluError: the file cannot be written.
    """
    write_sections(outlook_page(found), path)


def render_outlook(found: Outlook) -> str:
    """The page as HTML."""
    return render_sections(outlook_page(found))


def outlook_page(found: Outlook) -> SectionPage:
    """Collect the page."""
    region = tables.REGION_NAMES[found.region]
    return SectionPage(
        title=Text("Compute: demand and supply", "算力：需求与供给"),
        summary=_summary(found),
        sections=(
            _demand(found),
            _supply(found),
            _gap(found),
            _shares(found),
            _access(found, region),
            _chain(found, region),
            _text(found),
            _claims(found),
            Section(
                Text("Other figures", "其他数字"),
                Text(
                    "Figures with another definition, targets and projections stand apart from the series above.",
                    "口径不同的数字、目标与预测，与上文序列分列。",
                ),
                tables=(tables.facts_table(found.facts),),
            ),
        ),
        footer=Text(
            f"danlu outlook, {found.on}. Every figure carries its source; what nobody published is left empty.",
            f"danlu outlook，{found.on}。每个数字均附来源；无人公布者留空。",
        ),
    )


def _summary(found: Outlook) -> Text:
    growth = {each.key: each for each in found.demand.measured}["compute-frontier"]
    latest = next((gap for gap in found.gap if gap.year == found.on.year), found.gap[-1])
    runs = latest.runs
    return Text(
        f"The largest training runs grow {growth.factor:g} times a year. In {latest.year} all of China's intelligent "
        f"computing power could make {_few(runs)} of them a year, nameplate counted; one training set is as large as "
        f"the public text in about {found.text.year.mid:.0f}.",
        f"最大训练的算力每年增长 {growth.factor:g} 倍。{latest.year} 年，按标称值计，"
        f"中国全部智能算力一年可完成 {_few(runs)} 次；"
        f"约在 {found.text.year.mid:.0f} 年，单个训练集将与公开文本总量相当。",
    )


def _few(value: Range) -> str:
    digits = 0 if value.mid >= 10 else 1
    return f"{value.mid:.{digits}f} ({value.low:.{digits}f} – {value.high:.{digits}f})"


def _demand(found: Outlook) -> Section:
    demand = found.demand
    known = [model for model in demand.models if model.flop]
    years = [model.year for model in known if model.language]
    fit = demand.language
    fitted = tuple((year, fit.at(year)) for year in _steps(min(years), max(years)))
    points = [(float(each.year), each.flop) for each in demand.projections]
    picture = YearPicture(
        alt=Text("Training compute of models by year", "历年模型训练算力"),
        unit=Text("FLOPs of one training run", "单次训练 FLOPs"),
        first=2012,
        last=_LAST + 0.3,
        low=1e17,
        high=10 ** math.ceil(math.log10(max(flop.high for _, flop in points))),
        tracks=(
            Track(
                fitted,
                "s4",
                Text(f"listed: {fit.factor:.2g}× a year", f"所列：年 {fit.factor:.2g} 倍"),
            ),
            Track(
                tuple((year, flop.mid) for year, flop in points),
                "hot",
                Text("largest run, projected", "最大训练，外推"),
                dashed=True,
                band=(
                    tuple((year, flop.low) for year, flop in points),
                    tuple((year, flop.high) for year, flop in points),
                ),
            ),
        ),
        dots=tuple(
            Dot(
                (model.year, model.flop or 1.0),
                same(model.name),
                Text(
                    f"{model.name}, {int(model.year)}: {figures.flops(model.flop)} FLOPs",
                    f"{model.name}，{int(model.year)} 年：{figures.flops(model.flop)} FLOPs",
                ),
            )
            for model in known
        ),
    )
    return Section(
        Text("Demand", "需求"),
        Text(
            "Training compute of published models, and where the measured growth of the running top ten leads.",
            "已发布模型的训练算力，以及按实测前十名增速的外推。",
        ),
        _drawn(picture),
        Text(
            f"The projection starts at {demand.frontier.name} and carries its interval; it is a growth carried on, not "
            "a plan that anybody has announced.",
            f"外推起自 {demand.frontier.name}，带区间；它只是增速的延续，并非任何人公布的计划。",
        ),
        (tables.growth_table(demand), tables.models_table(demand), tables.costs_table(demand)),
    )


def _supply(found: Outlook) -> Section:
    supply = found.supply
    fan = supply.fan
    styles = ("s1", "s4", "s7", "s2", "s5", "s8")
    tracks = tuple(
        Track(
            tuple((float(point.year), point.eflops) for point in each.points),
            style,
            Text(f"edition {each.vintage}: {each.factor - 1:+.0%}", f"{each.vintage} 版：{each.factor - 1:+.0%}"),
        )
        for each, style in zip(supply.vintages, styles, strict=False)
    )
    wide = Track(
        tuple((float(each.year), each.eflops.mid) for each in fan),
        "hot",
        Text("newest of each year", "各年最新版"),
        dashed=True,
        band=(
            tuple((float(each.year), each.eflops.low) for each in fan),
            tuple((float(each.year), each.eflops.high) for each in fan),
        ),
    )
    picture = YearPicture(
        alt=Text("China's intelligent computing power by edition of the forecast", "各版预测的中国智能算力"),
        unit=Text("EFLOPS (FP16)", "EFLOPS（FP16）"),
        first=fan[0].year,
        last=fan[-1].year,
        low=100,
        high=10 ** math.ceil(math.log10(fan[-1].eflops.high)),
        tracks=(wide, *tracks),
    )
    return Section(
        Text("Supply", "供给"),
        Text(
            "China's intelligent computing power: every edition of the same forecast, because the forecast moves more "
            "than any of them admits.",
            "中国智能算力：同一预测的各个版本并列，因为版本之间的变动大于任何一版所示。",
        ),
        _drawn(picture),
        Text(
            "The band spans what the editions say of a year. The unit is the source's: nameplate FP16, all chips and "
            "ages counted; other bodies count several times less (see other figures).",
            "色带为各版对同一年的说法之跨度。单位从来源：FP16 标称值，计入各类各代芯片；"
            "其他机构的口径小数倍（见其他数字）。",
        ),
        (tables.fan_table(supply), tables.shipped_table(supply), tables.markets_table(supply)),
    )


def _gap(found: Outlook) -> Section:
    years = found.gap
    world = found.world
    picture = YearPicture(
        alt=Text(
            "Frontier training runs a year that China's computing power could make", "中国算力一年可完成的最大训练次数"
        ),
        unit=Text("largest runs a year", "一年可完成的最大训练次数"),
        first=years[0].year,
        last=years[-1].year,
        low=0.1,
        high=1e4,
        tracks=(
            Track(
                tuple((float(each.year), each.runs.mid) for each in years),
                "s4",
                Text("all of China's power", "中国全部算力"),
                band=(
                    tuple((float(each.year), each.runs.low) for each in years),
                    tuple((float(each.year), each.runs.high) for each in years),
                ),
            ),
        ),
        levels=(Level(1.0, Text("one run takes a year of all of it", "一次训练耗尽全年算力")),),
    )
    return Section(
        Text("The gap", "缺口"),
        Text(
            "How many of the year's largest training runs the whole supply could make in a year, at 30 to 50% of its "
            "nameplate.",
            "全部供给按标称值的 30% 至 50% 计，一年可完成多少次当年最大规模的训练。",
        ),
        _drawn(picture),
        Text(
            f"The accelerators delivered worldwide by the end of {world.year} could make {_few(world.runs)} runs of "
            "that year's largest size in a year.",
            f"截至 {world.year} 年底全球交付的加速器，一年可完成 {_few(world.runs)} 次当年最大规模的训练。",
        ),
        (tables.gap_table(years),),
    )


def _shares(found: Outlook) -> Section:
    bars = []
    names = {
        "chips": Text("chips", "芯片"),
        "memory": Text("memory", "存储"),
        "interconnect": Text("interconnect", "互连"),
    }
    for each in found.shares:
        one = each.shares
        memory = one.memory.mid if one.memory else 0.0
        bars.append(
            Bar(
                Text(f"{each.chip}, computed from dated offers", f"{each.chip}，据带日期报价算得"),
                (
                    (Text("chips without memory", "芯片（不含存储）"), one.accelerators.mid - memory, "s2"),
                    (names["memory"], memory, "s4"),
                    (Text("rest of the servers", "服务器其余"), one.servers.mid, "s6"),
                    (names["interconnect"], one.network.mid, "s8"),
                ),
            )
        )
    middle = {name: (low + high) / 2 for name, (low, high) in found.feasible_shares.items()}
    whole = sum(middle.values())
    bars.append(
        Bar(
            Text("quoted ranges, middles scaled to 100%", "所引区间，取中值并折合 100%"),
            tuple(
                (names[name], value / whole, style)
                for (name, value), style in zip(middle.items(), ("s2", "s4", "s8"), strict=True)
            ),
        )
    )
    alt = Text("Shares of a cluster's price", "集群价格构成")
    chips = found.feasible_shares["chips"][0]
    return Section(
        Text("What a cluster costs, by part", "集群花费构成"),
        Text(
            "Chips with their memory, the rest of the servers, and the network between them. The memory's share is at "
            "the price that buyers pay for more of it, which is above its maker's cost.",
            "芯片（含其存储）、服务器其余部分与服务器间网络。存储占比按买方为更多存储所付价格计，高于其制造成本。",
        ),
        variants(lambda language, layout: share_bars(bars, alt, language, layout)),
        Text(
            f"The quoted ranges can only sum to 100% with chips at {chips:.0%} or more.",
            f"所引区间要合计 100%，芯片须不低于 {chips:.0%}。",
        ),
        (tables.shares_table(found),),
    )


def _access(found: Outlook, region: Text) -> Section:
    training, inference = found.market["training"], found.market["inference"]
    counts = tuple(sum(each.open for each in members) for members in (training, inference))
    return Section(
        Text(f"What can be bought: {region.en}", f"可购芯片：{region.zh}"),
        Text(
            f"On {found.on}, without a licence: {counts[0]} of {len(training)} chips for training, {counts[1]} for "
            "inference. Training and inference are judged apart; a chip counts for training only where its figures "
            "allow it, and a published run is named where there is one.",
            f"{found.on}，无需许可：可训练 {counts[0]} 款，可推理 {counts[1]} 款（共 {len(training)} 款）。"
            "训练与推理分开判断：参数允许方计入训练；有公开训练者另行列出。",
        ),
        tables=(tables.access_table(found), tables.regions_table(found)),
        sources=Text(
            "The share in brackets is of the fastest chip released anywhere by that day (dense 16-bit peak). Sold "
            "freely does not mean made in numbers: who is on the Entity List gets no wafers from foundries abroad.",
            "括号内为占当日全球已发布最快芯片之比（16 位稠密峰值）。可自由销售不等于能大量制造："
            "被列入实体清单者无法从境外代工厂获得晶圆。",
        ),
    )


def _chain(found: Outlook, region: Text) -> Section:
    return Section(
        Text("The supply chain", "供应链"),
        Text(
            f"Who makes what, and what buyers in {region.en} get of it on {found.on}.",
            f"谁生产什么，以及 {found.on} {region.zh}买方可得几何。",
        ),
        tables=(tables.chain_table(found),),
    )


def _text(found: Outlook) -> Section:
    text = found.text
    start, growth, stock = text.start, text.growth, text.stock
    assert start.tokens
    known = [model for model in found.demand.models if model.tokens and model.year >= 2018]

    def carried(factor: float) -> tuple[tuple[float, float], ...]:
        return tuple((year, start.tokens * factor ** (year - start.year)) for year in _steps(start.year, 2033))

    picture = YearPicture(
        alt=Text("Training tokens by year, against the stock of public text", "历年训练词元与公开文本总量"),
        unit=Text("tokens of one training set", "单个训练集词元数"),
        first=2018,
        last=2033,
        low=1e10,
        high=1e17,
        tracks=(
            Track(
                carried(growth.mid),
                "hot",
                Text(f"{growth.low:g} to {growth.high:g}× a year", f"每年 {growth.low:g} 至 {growth.high:g} 倍"),
                dashed=True,
                band=(carried(growth.low), carried(growth.high)),
            ),
        ),
        dots=tuple(
            Dot(
                (model.year, model.tokens or 1.0),
                same(model.name),
                same(f"{model.name}: {figures.count(model.tokens)}"),
            )
            for model in known
        ),
        levels=(Level(stock.mid, Text("stock of public text", "公开文本总量"), (stock.low, stock.high)),),
    )
    early, late = found.published_text_years
    return Section(
        Text("When public text runs out", "公开文本何时用尽"),
        Text(
            f"One training set is as large as all human-written public text in {_years(text.year)}; read {REPEATS} "
            f"times over, which costs almost nothing, in {_years(text.year_with_repeats)}. "
            f"Published: {early} to {late}.",
            f"单个训练集将于 {_years(text.year)} 年与全部公开文本相当；若重复阅读 {REPEATS} 遍（几乎无损），则为 "
            f"{_years(text.year_with_repeats)} 年。已发表结论：{early} 至 {late} 年。",
        ),
        _drawn(picture),
        Text(
            f"Demand starts at {start.name} ({figures.count(start.tokens)} tokens) and grows as measured; the band of "
            "the stock is its interval.",
            f"需求起自 {start.name}（{figures.count(start.tokens)} 词元），按实测增速；总量之带为其区间。",
        ),
        sources=same("; ".join((*stock.sources, *growth.sources))),
    )


def _years(value: Range) -> str:
    return f"{value.mid:.0f} ({value.low:.0f} – {value.high:.0f})"


def _claims(found: Outlook) -> Section:
    return Section(
        Text("Claims checked", "说法核查"),
        Text(
            "Published figures recomputed: the arithmetic, the verdict, and what to do with them. Check one of your "
            "own: danlu outlook check 'cagr 53.9 103.4 2021 2025'.",
            "对已发表数字重新计算：列出算式、结论与处理办法。核查自己的说法："
            "danlu outlook check 'cagr 53.9 103.4 2021 2025'。",
        ),
        findings=tuple(_finding(claim) for claim in found.claims),
    )


def _finding(claim: CheckedClaim) -> Finding:
    verdict, style = _VERDICTS[claim.verdict]
    lines = tuple(tables.said(line) for line in claim.lines)
    return Finding(tables.said(claim.claim), verdict, style, lines, tables.said(claim.todo))


def _drawn(picture: YearPicture) -> Markup:
    def draw(language: Language, layout: Layout) -> Markup:
        return year_picture(picture, language, layout)

    return variants(draw)


def _steps(first: float, last: float) -> list[float]:
    """A quarter of a year apart, both ends included."""
    count = max(1, math.ceil((last - first) * 4))
    return [first + (last - first) * index / count for index in range(count + 1)]
