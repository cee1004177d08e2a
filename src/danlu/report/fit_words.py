"""What the page of a fit says, in English and Chinese."""

from danlu.report.language import Text, same
from danlu.report.tables import Column
from danlu.scaling.analysis import Held, TableFit
from danlu.scaling.columns import Taken

FOOTER = Text(
    "Made by danlu fit. The page holds everything it shows and asks nothing of any network.",
    "由 danlu fit 生成。页面自带全部内容，不访问任何网络。",
)
THIS_LAW = Text("forecast", "预测")
WITHOUT_FLOOR = Text("no floor", "无下限")
OVER_ALT = Text("Losses of the rows and the forecast with its interval", "各行的损失，以及带区间的预测")
LAW_CAPTION = Text(
    "Rows (dots, a colour for each size, dark for large), rows held out (diamonds), the forecast at the best size for"
    " each compute with its interval, and what a power law without a floor would promise (dashed).",
    "圆点为各行（颜色表示规模，越深越大），菱形为留出的行；曲线为各算力下最佳规模处的预测及其区间，虚线为没有下限的幂律的承诺。",
)
COLUMNS_CAPTION = Text("Which column was taken for what", "各列被当作什么")
WEIGHTS_CAPTION = Text("What each law counts in a prediction", "各定律在预测中的权重")
BACKTESTS_CAPTION = Text("Forecasts of the table's own top", "用表的下部预测其上部")
SLICES_TITLE = Text("Slices at one compute", "等算力切片")
SLICES_NOTE = Text(
    "At each amount of compute, loss over size: the dots are rows, the lines the law. The lowest point of a line is the"
    " best size; flat bottoms are why the size matters less than people think.",
    "固定算力时损失随规模的变化：圆点为各行，曲线为定律。曲线最低点即最佳规模；底部平坦，所以规模没有想象中那么关键。",
)
SLICES_ALT = Text("Loss over size, a line for each amount of compute", "损失随规模的变化，每条线对应一个算力")
RESIDUALS_TITLE = Text("What the law misses", "定律没有解释的部分")
RESIDUALS_ALT = Text("Measured over predicted, less one, for every row", "每一行的实测值与预测值之比减一")
RESIDUALS_AXIS = Text("measured over predicted", "实测相对预测")
HELD_TITLE = Text("Rows that were held out", "留出的行")
HELD_ALT = Text("Error and interval of every row that was held out", "每个留出行的误差与区间")
HELD_AXIS = Text("forecast over measured", "预测相对实测")
HELD_PICTURE = Text(
    "Diamonds: the forecast's error. Bars: its interval; one that crosses the zero line holds what was measured.",
    "菱形为预测误差，竖线为区间；竖线穿过零线，即区间包含实测值。",
)
PREDICTED_TITLE = Text("Predictions asked for", "所求的预测")
PREDICTED_NOTE = Text("Rows of the other table, with intervals.", "另一张表中各行的预测及区间。")
DECISIONS_TITLE = Text("How to spend compute", "算力怎么花")
DECISIONS_NOTE = Text(
    "The best size and length for each budget. The range within half a percent is how little the exact size matters.",
    "每个预算下的最佳规模与数据量。损失相差不到 0.5% 的范围，说明规模不必精确。",
)
TRUST_TITLE = Text("How far to trust it", "可信到什么程度")
WARNINGS_TITLE = Text("What to look at first", "先看什么")
GRAVE = Text("do not use as it is", "不可直接使用")
LOOK = Text("look at it", "请查看")

_AXES = {
    "C": Text("training compute (FLOPs)", "训练算力（FLOPs）"),
    "N": Text("parameters", "参数量"),
    "D": Text("training tokens", "训练词元数"),
    "S1": Text("sum of the learning rate over steps", "学习率对步数的累加"),
    "loss": Text("loss", "损失"),
}
_MEANINGS = {
    "N": "参数量",
    "D": "训练词元数",
    "C": "训练算力（FLOPs）",
    "loss": "损失（每词元纳特）",
    "U": "不重复词元数",
    "lr": "学习率",
    "batch": "每步词元数或序列数",
    "context": "每序列词元数",
    "ratio": "每参数词元数",
    "step": "优化步数",
    "seed": "随机种子",
    "run": "运行",
    "schedule": "学习率日程",
    "experts": "专家数",
    "accuracy": "正确率",
}
_CODES = {
    "misfit": Text("The law does not fit its own rows", "定律不符合自己的数据"),
    "poor_fit": Text("The law fits its rows loosely", "定律与数据只是大致相符"),
    "break": Text("The slope changes: a break", "斜率改变：存在断点"),
    "no_backtest": Text("Too few rows to check the intervals", "行数太少，无法检验区间"),
    "backtests_missed": Text("Forecasts of the table's own top missed", "对表中上部的预测落空"),
    "at_bound": Text("A parameter ended at its bound", "有参数停在边界上"),
    "not_identified": Text("Parameters that the rows cannot tell apart", "数据无法区分的参数"),
    "outliers": Text("Rows far off the law", "远离定律的行"),
    "outliers_decide": Text("A few rows decide a parameter", "少数几行决定了参数"),
    "delta_decides": Text("A parameter depends on the choice of loss function", "参数取决于拟合损失的选择"),
    "one_size_decides": Text("One size decides a parameter", "单一规模决定了参数"),
    "residuals_by_size": Text("The law bends otherwise at one end of the sizes", "在规模的一端，定律弯曲不同"),
    "residuals_by_ratio": Text(
        "The law bends otherwise at one end of tokens a parameter", "在词元参数比的一端，定律弯曲不同"
    ),
    "few_rows": Text("Few rows for the parameters", "相对参数而言行数偏少"),
    "duplicates": Text("Equal rows left out", "去掉了重复的行"),
    "mixed_schedules": Text("Several learning-rate schedules in one fit", "混用了不同的学习率日程"),
    "counting": Text("Parameters can be counted in two ways here", "参数量有两种计法"),
    "compute_rule": Text("C is not 6 N D", "C 不等于 6ND"),
    "ratio_range": Text("Rows with extreme tokens a parameter", "词元参数比极端的行"),
    "untuned_lr": Text("The learning rate is not tuned everywhere", "学习率并非处处调好"),
    "no_collapse": Text("The normalised curves do not coincide", "归一化的曲线不重合"),
    "mixed_data": Text("Several data sets in one fit", "混用了不同的数据集"),
    "one_size": Text("One size only", "只有一个规模"),
    "far": Text("A far extrapolation", "外推很远"),
    "ratio_outside": Text("Tokens a parameter outside the ladder", "词元参数比超出阶梯"),
    "other_mix": Text("The target's data mix is another", "目标的数据配比不同"),
}


def axis(name: str) -> Text:
    """The name of a variable's axis."""
    return _AXES.get(name, same(name))


def target_axis(fitted: TableFit) -> Text:
    """The name of the vertical axis."""
    return Text("accuracy", "正确率") if fitted.rows.is_share else Text("loss", "损失")


def meaning(taken: Taken) -> Text:
    """What a column was taken for."""
    if taken.meaning == "loss (bits a byte)":
        return Text(taken.meaning, "损失（每字节比特）")
    return Text(taken.meaning, _MEANINGS.get(taken.role, taken.meaning))


def code_title(code: str) -> Text:
    """A warning's title."""
    return _CODES.get(code, same(code))


def number(name: str) -> Column:
    """A column of numbers under a name."""
    return Column(same(name))


PARAMETER_COLUMNS = (
    Column(Text("parameter", "参数"), numeric=False),
    Column(Text("value", "值")),
    Column(Text("low", "下限")),
    Column(Text("high", "上限")),
    Column(Text("bootstrap error", "自助法误差")),
)
COLUMN_COLUMNS = (
    Column(Text("role", "角色"), numeric=False),
    Column(Text("column", "列"), numeric=False),
    Column(Text("meaning", "含义"), numeric=False),
    Column(Text("might have been", "也可能是"), numeric=False),
)
HELD_COLUMNS = (
    Column(Text("forecast", "预测")),
    Column(Text("low", "下限")),
    Column(Text("high", "上限")),
    Column(Text("measured", "实测")),
    Column(Text("error", "误差")),
)
DECISION_COLUMNS = (
    Column(Text("compute", "算力")),
    Column(Text("parameters", "参数量")),
    Column(Text("tokens", "词元数")),
    Column(Text("loss", "损失")),
    Column(Text("within 0.5%", "相差 0.5% 以内")),
    Column(Text("learning rate (Step Law / Porian)", "学习率（Step Law / Porian）")),
    Column(Text("batch, tokens (the same)", "批大小，词元（同左）")),
)
WEIGHT_COLUMNS = (Column(Text("law", "定律"), numeric=False), Column(Text("weight", "权重")))
BACKTEST_COLUMNS = (
    Column(Text("left out from the top of", "留出最大的"), numeric=False),
    Column(Text("rows", "行数")),
    Column(Text("error over expected", "误差与预期之比")),
)


def summary(fitted: TableFit) -> Text:
    """The page's first sentence: the hold-out's verdict where there is one, or that the fit must not be trusted."""
    grave = [finding for finding in fitted.findings if finding.grave]
    if grave:
        title = code_title(grave[0].code)
        return Text(f"Do not trust this fit: {title.en.lower()}.", f"不要相信这个拟合：{title.zh}。")
    count = len(fitted.rows)
    held = fitted.holdout
    if held is not None:
        return Text(
            f"{fitted.law.formula}, from {count} rows. On {len(held.rows)} rows it never saw it errs by {held.mare:.2%}"
            f" (a law without a floor: {held.baseline_mare:.2%}), and its intervals hold {held.coverage:.0%} of them.",
            f"{fitted.law.formula}，由 {count} 行得出。在未参与拟合的 {len(held.rows)} 行上平均误差 {held.mare:.2%}"
            f"（无下限的幂律：{held.baseline_mare:.2%}），区间包含其中的 {held.coverage:.0%}。",
        )
    return Text(f"{fitted.law.formula}, from {count} rows.", f"{fitted.law.formula}，由 {count} 行得出。")


def law_title(fitted: TableFit) -> Text:
    """The lead's formula."""
    return same(fitted.law.formula)


def law_note(fitted: TableFit) -> Text:
    """Where the law is from and how it was chosen."""
    return Text(
        f"{fitted.law.name}, after {fitted.law.source}. Tried because {fitted.chosen.reason}."
        if fitted.chosen.auto
        else f"{fitted.law.name}, after {fitted.law.source}.",
        f"{fitted.law.name}，出自 {fitted.law.source}。",
    )


def parameters_caption(level: float) -> Text:
    """Above the table of parameters."""
    return Text(f"Parameters with {level:.0%} intervals", f"参数及其 {level:.0%} 区间")


def decisions_caption(level: float) -> Text:
    """Above the table of decisions."""
    return Text(f"Best size and length, with {level:.0%} intervals", f"最佳规模与数据量，及 {level:.0%} 区间")


def held_caption(count: int) -> Text:
    """Above the table of held-out rows."""
    shown = min(count, 200)
    return Text(f"{shown} of {count} rows", f"{count} 行中的 {shown} 行")


def held_note(held: Held, level: float) -> Text:
    """What the hold-out shows."""
    return Text(
        f"{len(held.rows)} rows that the fit never saw: mean absolute error {held.mare:.2%}; {level:.0%} intervals hold"
        f" {held.coverage:.0%} of them, 80% intervals {held.narrow_coverage:.0%}.",
        f"{len(held.rows)} 行未参与拟合：平均绝对误差 {held.mare:.2%}；{level:.0%} 区间包含其中 {held.coverage:.0%}，"
        f"80% 区间包含 {held.narrow_coverage:.0%}。",
    )


def residuals_note(typical: float, clipped: int) -> Text:
    """What the residuals show."""
    more = f" {clipped} rows lie farther out and are drawn at the edge." if clipped else ""
    zh = f"另有 {clipped} 行更远，画在边缘。" if clipped else ""
    return Text(
        f"Measured loss over the law's, row by row ({typical:.2%} root mean square). A pattern means that the law bends"
        f" otherwise than the rows do.{more}",
        f"逐行的实测损失与定律之比（均方根 {typical:.2%}）。若有规律可循，说明定律与数据的弯曲不同。{zh}",
    )


def trust_note(fitted: TableFit) -> Text:
    """How intervals came about."""
    panel = fitted.panel
    tests = len(panel.ratios)
    return Text(
        f"Predictions come from {fitted.method}.",
        f"预测由多条定律按回测加权而成；区间包含定律之间的分歧、重抽运行的误差、单行噪声和外推误差，"
        f"经 {tests} 次回测后放大到 {panel.stretch:.2f} 倍。",
    )


def warnings_note(count: int) -> Text:
    """Before the warnings."""
    if not count:
        return Text("Nothing was found that stands in the way.", "没有发现问题。")
    return Text(f"{count} findings, the gravest first.", f"共 {count} 条，最重要的在前；细节为英文。")
