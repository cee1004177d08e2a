"""The page of a plan: what a run takes and why, the memory, the front, other chips, and the trace of every figure."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from danlu.common.duration import format_count, format_seconds
from danlu.planner.accelerator import GIB
from danlu.planner.backward import Answer
from danlu.planner.compare import Ban, Compared
from danlu.planner.currency import Currency
from danlu.planner.market import Availability
from danlu.planner.plan import Plan
from danlu.planner.ranges import Range
from danlu.planner.request import Outcome
from danlu.report import figures, trace_words
from danlu.report.language import Text, same
from danlu.report.outlook_pictures import Bar, share_bars, variants
from danlu.report.outlook_tables import REGION_NAMES
from danlu.report.plan_pictures import FrontPoint, front_picture, part_bar
from danlu.report.plan_words import both
from danlu.report.sections import Section, SectionPage, Table, render_sections, write_sections
from danlu.report.tables import Column

_TERMS = {en: Text(en, zh) for en, zh in trace_words.TERMS.items()}
_MEMORY = {en: Text(en, zh) for en, zh in trace_words.MEMORY_PARTS.items()}
_VERDICTS = {
    "fits": Text("fits", "放得下"),
    "tight": Text("fits, tightly", "勉强放下"),
    "does not fit": Text("does not fit", "放不下"),
}
_ORIGINS = {
    "given": Text("given", "给定"),
    "catalogue": Text("catalogue", "目录"),
    "published": Text("published", "已发表"),
    "calibrated": Text("calibrated", "校准"),
    "assumed": Text("assumed", "假定"),
    "computed": Text("computed", "计算"),
}
_SALES = {
    "yes": Text("for sale", "可购"),
    "notification": Text("for sale after a notification", "申报后可购"),
    "case by case": Text("licence, case by case", "许可，逐案"),
    "no": Text("not for sale", "不可购"),
    "cloud only": Text("its maker's cloud only", "仅云服务"),
    "not yet": Text("not yet released", "尚未发布"),
    "unknown": Text("unknown", "未知"),
}
_NOTHING = same(figures.NONE)
_DAY = 86400.0


def write_plan_page(found: Outcome, path: Path) -> None:
    """Write the page.

    Raises:
        DanluError: the file cannot be written.
    """
    write_sections(plan_page(found), path)


def render_plan(found: Outcome) -> str:
    """The page as HTML."""
    return render_sections(plan_page(found))


def plan_page(found: Outcome) -> SectionPage:
    """Collect the page."""
    plan = found.plan
    sections = [_figures(found), _time(plan), _memory(plan)]
    if len(_front_points(found)) > 1:
        sections.append(_front(found))
    if found.compared:
        sections.append(
            Section(
                Text("The same on other chips", "换用其他芯片"),
                Text(
                    "The same model, tokens and number of chips, each with its own fastest layout.",
                    "同一模型、词元与芯片数，各取其最快布局。",
                ),
                tables=(_compared_table(found.compared),),
                sources=_reasons(found.compared),
            )
        )
    if found.ban:
        sections.append(_ban(found.ban))
    sections.append(_trace(plan))
    return SectionPage(
        Text(
            f"{plan.shape.name} on {plan.chips:,} × {plan.chip.name}",
            f"{both(plan.shape.name).zh}，{plan.chips:,} × {plan.chip.name}",
        ),
        _summary(found),
        tuple(sections),
        Text(
            f"danlu plan, prices and rules of {plan.on}. Intervals hold the middle 80%.",
            f"danlu plan，价格与规则截至 {plan.on}。区间为中间 80%。",
        ),
    )


def _summary(found: Outcome) -> Text:
    plan = found.plan
    tokens = format_count(plan.run.tokens)
    wall, rent = plan.wall, plan.costs.rent
    took, money = _range_text(wall), _money(rent, plan.currency)
    money_en, money_zh = (f", for a rent of {money.en}", f"，租金 {money.zh}") if rent else ("", "")
    return Text(
        f"{tokens} tokens take {took.en}{money_en}; the loss to expect is "
        f"{plan.split.loss:.3f} ({plan.split.low:.3f} – {plan.split.high:.3f}).",
        f"{tokens} 词元需 {took.zh}{money_zh}；预期损失 "
        f"{plan.split.loss:.3f}（{plan.split.low:.3f} – {plan.split.high:.3f}）。",
    )


def _figures(found: Outcome) -> Section:
    plan = found.plan
    step, run, job, costs = plan.step, plan.run, plan.step.job, plan.costs
    active = plan.shape.params("active")
    sizes = format_count(plan.shape.params())
    rows: list[tuple[Text, Text, Text]] = [
        (
            Text("parameters", "参数"),
            same(sizes),
            Text(f"{format_count(active)} active", f"激活 {format_count(active)}") if plan.shape.moe else same(""),
        ),
        (Text("training FLOPs", "训练 FLOPs"), same(figures.flops(6 * active * run.tokens)), same("6 N D")),
        (Text("layout", "布局"), both(job.layout.describe()), _tried(plan)),
        (
            Text("batch", "批量"),
            Text(f"{job.batch:,} sequences", f"{job.batch:,} 条序列"),
            Text(
                f"of {job.seq_len:,} tokens, {job.precision.name}", f"每条 {job.seq_len:,} 词元，{job.precision.name}"
            ),
        ),
        (
            Text("one step", "单步"),
            same(f"{step.seconds:.3g} s ({step.low:.3g} – {step.high:.3g})"),
            same(f"{step.flops_per_chip / 1e12:.0f} TFLOP/s, MFU {step.mfu:.0%}"),
        ),
        (
            Text("steady speed", "稳态速度"),
            Text(f"{step.tokens_per_second:,.0f} tokens/s", f"每秒 {step.tokens_per_second:,.0f} 词元"),
            Text(f"goodput {run.goodput:.1%}", f"有效时间 {run.goodput:.1%}"),
        ),
        (
            Text("whole run", "全程"),
            _range_text(plan.wall),
            Text(
                f"{run.failures:.1f} failures expected, a checkpoint every {format_seconds(run.checkpoint_interval)}",
                f"预计故障 {run.failures:.1f} 次，每 {figures.seconds(run.checkpoint_interval).zh}存一次检查点",
            ),
        ),
        (Text("chip-hours", "卡时"), same(_range(plan.chip_hours)), same("")),
        (Text("rent", "租金"), _money(costs.rent, plan.currency), Text("dated offers", "带日期报价")),
        (
            Text("owning", "自有"),
            _money(costs.owning, plan.currency),
            Text("chips, servers, network, years of use, electricity", "芯片、服务器、网络、使用年限与电费"),
        ),
        (
            Text("energy", "能耗"),
            _scaled(costs.energy_kwh, 1e3, "MWh"),
            Text("draw of chip and server, PUE", "芯片与服务器功耗、PUE"),
        ),
        (Text("carbon", "碳排放"), _scaled(costs.carbon_tonnes, 1.0, "t CO₂e"), Text("the grid's mean", "电网均值")),
        (
            Text("loss to expect", "预期损失"),
            same(f"{plan.split.loss:.3f} ({plan.split.low:.3f} – {plan.split.high:.3f})"),
            both(plan.law.source),
        ),
    ]
    if found.serving:
        one = found.serving
        rows.append(
            (
                Text("serving", "推理服务"),
                Text(
                    f"{one.tokens_per_chip_second:,.0f} tokens/s a chip, {one.token_seconds * 1e3:.1f} ms a token",
                    f"每卡每秒 {one.tokens_per_chip_second:,.0f} 词元，每词元 {one.token_seconds * 1e3:.1f} 毫秒",
                ),
                Text(
                    f"{one.chips} chips an instance, batch {one.batch}, first token after {one.prefill_seconds:.2g} s",
                    f"每实例 {one.chips} 卡，批量 {one.batch}，首词元 {one.prefill_seconds:.2g} 秒",
                ),
            )
        )
    elif found.serving_why_not:
        rows.append((Text("serving", "推理服务"), _NOTHING, both(found.serving_why_not)))
    if found.served:
        one_served, money = found.served, _money(found.served.rent, plan.currency)
        rows.append(
            (
                Text("to serve", "推理总量"),
                Text(f"{format_count(one_served.tokens)} tokens", f"{format_count(one_served.tokens)} 词元"),
                Text(
                    f"{format_count(one_served.chip_hours)} chip-hours at the most tokens a chip, rent {money.en}",
                    f"按单卡最高吞吐 {format_count(one_served.chip_hours)} 卡时，租金 {money.zh}",
                ),
            )
        )
    tables = [_table(Text("The plan", "方案"), ("", "", "w"), ("figure", "数字", "w"), ("how", "依据", "w"), rows=rows)]
    if found.answer:
        tables.insert(0, _answers(found.half, found.answer, found.double))
    spent = (
        (Text("rent", "租金"), costs.rent),
        (Text("owning", "自有"), costs.owning),
        (Text("energy", "能耗"), costs.energy_kwh),
        (Text("carbon", "碳排放"), costs.carbon_tonnes),
    )
    sources = _table(
        Text("Sources of money, energy and carbon", "费用、能耗与碳排放的来源"),
        ("", "", "w"),
        ("source", "来源", "w"),
        rows=[(name, both(source)) for name, value in spent if value for source in value.sources],
    )
    tables.append(Table(sources.caption, sources.columns, sources.rows, folded=True))
    missing = (*found.notes, *costs.missing, *job.accelerator.assumed)
    return Section(
        Text("What it takes", "所需"),
        Text(
            "Every figure with its interval or its source; what the catalogue lacks is named below, never guessed.",
            "每个数字均附区间或来源；目录所缺者列于下方，绝不猜测。",
        ),
        tables=tuple(tables),
        sources=both("; ".join(missing)) if missing else None,
    )


def _tried(plan: Plan) -> Text:
    if plan.search is None:
        return Text("given", "给定")
    fitting, tried = plan.search.fitting, plan.search.tried
    return Text(
        f"the fastest of {fitting:,} that fit, of {tried:,} tried", f"{tried:,} 种中放得下的 {fitting:,} 种里最快者"
    )


def _answers(half: Answer | None, asked: Answer, double: Answer | None) -> Table:
    rows = []
    named = ((Text("half", "减半"), half), (Text("asked", "所求"), asked), (Text("double", "加倍"), double))
    for name, one in named:
        if one is None:
            continue
        plan = one.plan
        rows.append(
            (
                name,
                same(str(one.wish.budget) if one.wish.budget else figures.NONE),
                same(format_count(plan.shape.params())),
                same(format_count(plan.run.tokens)),
                same(f"{plan.chips:,}"),
                figures.seconds(plan.run.wall_seconds),
                _money(plan.costs.rent, plan.currency),
                same(f"{plan.split.loss:.3f} ({plan.split.low:.3f} – {plan.split.high:.3f})"),
            )
        )
    return _table(
        Text("What the budget buys", "预算可得"),
        ("", "", "w"),
        ("budget", "预算"),
        ("model", "模型"),
        ("tokens", "词元"),
        ("chips", "芯片"),
        ("time", "时间"),
        ("rent", "租金"),
        ("loss", "损失"),
        rows=rows,
    )


def _time(plan: Plan) -> Section:
    step, run = plan.step, plan.run
    names = {
        "steady": Text("steps", "训练步"),
        "ramp": Text("ramp-up", "爬坡"),
        "checkpoints": Text("checkpoints", "检查点"),
        "failures": Text("failures", "故障"),
        "evaluation": Text("evaluation", "评测"),
    }
    whole = {
        "steady": run.steady_seconds,
        "ramp": run.ramp_seconds,
        "checkpoints": run.checkpoint_seconds,
        "failures": run.failure_seconds,
        "evaluation": run.evaluation_seconds,
    }
    bars = (
        part_bar(
            Text(f"one step, {step.seconds:.3g} s", f"单步，{step.seconds:.3g} 秒"),
            step.terms,
            _TERMS,
            step.seconds,
            None,
        ),
        part_bar(
            Text(f"the run, {format_seconds(run.wall_seconds)}", f"全程，{figures.seconds(run.wall_seconds).zh}"),
            whole,
            names,
            run.wall_seconds,
            None,
        ),
    )
    rows = [
        (_TERMS[name], same(f"{seconds:.3g}"), same(f"{seconds / step.seconds:.1%}"))
        for name, seconds in sorted(step.terms.items(), key=lambda item: -item[1])
        if seconds > 0
    ]
    table = _table(
        Text("The step by part", "单步构成"), ("part", "部分", "w"), ("seconds", "秒"), ("share", "占比"), rows=rows
    )
    return Section(
        Text("Where the time goes", "时间去向"),
        Text(
            "The step from first principles, and the run around it: what is not a step is kept apart.",
            "由基本原理得到的单步，以及其外的全程：非训练步的时间单列。",
        ),
        _bars(bars, Text("Parts of a step and of the run", "单步与全程的构成")),
        tables=(table,),
    )


def _memory(plan: Plan) -> Section:
    step, capacity = plan.step, plan.step.job.accelerator.memory_bytes
    total = step.memory_bytes
    name = Text(
        f"{total / GIB:.1f} of {capacity / GIB:.0f} GiB: {_VERDICTS[step.verdict].en}",
        f"{capacity / GIB:.0f} GiB 中的 {total / GIB:.1f}：{_VERDICTS[step.verdict].zh}",
    )
    bar = part_bar(name, step.memory_parts, _MEMORY, max(total, capacity), Text("free", "空闲"))
    rows = [
        (_MEMORY[key], same(f"{size / GIB:.2f}"), same(f"{size / capacity:.1%}"))
        for key, size in step.memory_parts.items()
        if size > 0
    ]
    table = _table(
        Text("Memory by part", "显存构成"), ("part", "部分", "w"), ("GiB", "GiB"), ("of the chip", "占芯片"), rows=rows
    )
    return Section(
        Text("Memory of the fullest chip", "最满芯片的显存"),
        Text("What each part holds, beside what the chip has.", "各部分占用与芯片容量。"),
        _bars((bar,), Text("Memory by part", "显存构成")),
        tables=(table,),
    )


def _bars(bars: Sequence[Bar], alt: Text) -> Markup:
    return variants(lambda language, layout: share_bars(bars, alt, language, layout))


def _front_points(found: Outcome) -> list[FrontPoint]:
    options = [(each.chips, each.option) for each in found.counts]
    options += [(found.plan.chips, option) for option in found.plan.front]
    chosen = found.plan.step.job.layout
    points = {
        (chips, option.layout): FrontPoint(
            chips,
            option.tokens_per_second,
            option.memory_bytes / GIB,
            option.layout.describe(),
            chips == found.plan.chips and option.layout == chosen,
        )
        for chips, option in options
    }
    return list(points.values())


def _front(found: Outcome) -> Section:
    points = _front_points(found)
    alt = Text("Layouts by memory and speed", "布局的显存与速度")
    rows = [
        (same(f"{p.chips:,}"), both(p.layout), same(f"{p.tokens_per_second:,.0f}"), same(f"{p.gib:.1f}"))
        for p in sorted(points, key=lambda each: (each.chips, -each.tokens_per_second))
    ]
    table = _table(
        Text("The front", "前沿"),
        ("chips", "芯片"),
        ("layout", "布局", "w"),
        ("tokens/s", "词元/秒"),
        ("GiB", "GiB"),
        rows=rows,
    )
    return Section(
        Text("Time, memory, chips", "时间、显存与芯片数"),
        Text(
            "Layouts that no faster one undercuts in memory; the chosen one is red. Less memory leaves room for longer "
            "sequences or cheaper chips.",
            "没有更快且更省显存者的布局；红点为所选。省下的显存可用于更长序列或更便宜的芯片。",
        ),
        variants(lambda language, layout: front_picture(points, alt, language, layout)),
        tables=(Table(table.caption, table.columns, table.rows, folded=True),),
    )


def _compared_table(compared: Sequence[Compared]) -> Table:
    rows = []
    for each in compared:
        plan, serving = each.plan, each.serving
        served = same(f"{serving.tokens_per_chip_second:,.0f}") if serving else _NOTHING
        if plan is None:
            rows.append((same(each.chip.name), *([_NOTHING] * 6), served))
            continue
        rows.append(
            (
                same(each.chip.name),
                same(f"{plan.chips:,}"),
                _range_text(plan.wall),
                same(f"{plan.step.mfu:.0%}"),
                same(f"{plan.step.memory_bytes / GIB:.0f}"),
                _money(plan.costs.rent, plan.currency),
                _scaled(plan.costs.energy_kwh, 1e3, "MWh"),
                served,
            )
        )
    return _table(
        Text("Chips side by side", "芯片对照"),
        ("chip", "芯片", "w"),
        ("count", "数量"),
        ("time", "时间"),
        ("MFU", "MFU"),
        ("GiB", "GiB"),
        ("rent", "租金"),
        ("energy", "能耗"),
        ("serving, tokens/s a chip", "推理，词元/秒/卡"),
        rows=rows,
    )


def _reasons(compared: Sequence[Compared]) -> Text | None:
    reasons = [f"{each.chip.name}: {each.why_not}" for each in compared if each.why_not]
    return both(" ".join(reasons)) if reasons else None


def _ban(found: Ban) -> Section:
    region = REGION_NAMES[found.region]
    rows = [
        _judged(Text(use_en, use_zh), each)
        for use_en, use_zh, judged in (("training", "训练", found.training), ("inference", "推理", found.inference))
        for each in judged
    ]
    judged = _table(
        Text("The chips asked for", "所求芯片"),
        ("use", "用途", "w"),
        ("chip", "芯片", "w"),
        ("verdict", "判断", "w"),
        ("why", "理由", "w"),
        rows=rows,
    )
    serving = [
        (
            same(chip.name),
            same(str(one.chips)),
            same(f"{one.tokens_per_chip_second:,.0f}"),
            same(f"{one.token_seconds * 1e3:.1f}"),
        )
        for chip, one in found.serving
    ]
    served = _table(
        Text("Serving on what is left", "以剩余芯片推理"),
        ("chip", "芯片", "w"),
        ("chips an instance", "每实例芯片"),
        ("tokens/s a chip", "词元/秒/卡"),
        ("ms a token", "毫秒/词元"),
        rows=serving,
    )
    left = _compared_table(found.alternatives)
    return Section(
        Text(f"What is left: {region.en}, {found.on}", f"还剩什么：{region.zh}，{found.on}"),
        Text(
            "The rules of the day applied to the chips asked for, training and inference apart, and the same plan on "
            "what may still be bought.",
            "以当日规则判断所求芯片（训练与推理分开），并以仍可购芯片重做同一方案。",
        ),
        tables=(
            judged,
            Table(Text("Training on what is left", "以剩余芯片训练"), left.columns, left.rows),
            served,
        ),
        sources=_reasons(found.alternatives),
    )


def _judged(use: Text, each: Availability) -> tuple[Text, ...]:
    verdict = _SALES["yes"] if each.open else _SALES[each.sale]
    if not each.open and each.sale in ("yes", "notification"):
        verdict = Text("figures do not allow it", "参数不允许")
    return use, same(each.chip.name), verdict, both("; ".join(each.reasons))


def _trace(plan: Plan) -> Section:
    rows = [
        (
            trace_words.name(entry.name),
            trace_words.value(entry.value, entry.unit),
            _ORIGINS[entry.origin],
            trace_words.origin(entry),
        )
        for entry in plan.ledger.entries
    ]
    table = _table(
        Text(f"All {len(rows)} figures", f"全部 {len(rows)} 个数字"),
        ("figure", "数字", "w"),
        ("value", "数值"),
        ("origin", "来历", "w"),
        ("how", "依据", "w"),
        rows=rows,
    )
    return Section(
        Text("Where every figure comes from", "每个数字的来历"),
        Text(
            "Down to what was given, published, calibrated or assumed.",
            "一直追溯到给定、已发表、校准或假定的数值。",
        ),
        tables=(Table(table.caption, table.columns, table.rows, folded=True),),
    )


def _table(caption: Text, *heads: tuple[str, ...], rows: Sequence[tuple[Text, ...]]) -> Table:
    """A table; a head is its words in both languages, and `w` where the column holds words."""
    columns = tuple(Column(Text(head[0], head[1]), numeric=len(head) < 3) for head in heads)
    return Table(caption, columns, tuple(rows))


def _range(value: Range) -> str:
    return f"{format_count(value.mid)} ({format_count(value.low)} – {format_count(value.high)})"


def _range_text(seconds: Range) -> Text:
    if seconds.low >= _DAY:
        low, mid, high = (f"{value / _DAY:,.3g}" for value in (seconds.low, seconds.mid, seconds.high))
        return Text(f"{mid} days ({low} – {high})", f"{mid} 天（{low} – {high}）")
    ends = [figures.seconds(value) for value in (seconds.low, seconds.mid, seconds.high)]
    return Text(f"{ends[1].en} ({ends[0].en} – {ends[2].en})", f"{ends[1].zh}（{ends[0].zh} – {ends[2].zh}）")


def _money(value: Range | None, currency: Currency) -> Text:
    if value is None:
        return Text("no price", "无价格")
    low, mid, high = (currency.number(usd) for usd in (value.low, value.mid, value.high))
    return Text(f"{mid} {currency.code} ({low} – {high})", f"{mid} {currency.chinese}（{low} – {high}）")


def _scaled(value: Range | None, scale: float, unit: str) -> Text:
    if value is None:
        return _NOTHING
    return same(f"{value.mid / scale:,.4g} ({value.low / scale:,.4g} – {value.high / scale:,.4g}) {unit}")
