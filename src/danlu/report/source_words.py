"""Citations of the catalogue and of the grids in Chinese; titles and names of people, firms and sites stay."""

import re

_SOURCES = (
    (
        ", Carbon emissions and large neural network training",
        "，《Carbon emissions and large neural network training》",
    ),
    ("DeepSeek-V3 technical report", "DeepSeek-V3 技术报告"),
    ("performance summary, release 25.11", "性能汇总，25.11 版"),
    (
        "Epoch AI, Machine Learning Hardware dataset (mirror of mid-2025)",
        "Epoch AI，机器学习硬件数据集（2025 年中镜像）",
    ),
    (
        "stas00/ml-engineering, compute/accelerator and network READMEs",
        "stas00/ml-engineering，compute/accelerator 与 network 的 README",
    ),
    ("arthurchiao, GPU notes", "arthurchiao，GPU 笔记"),
    (
        "CSET, Pushing the Limits: Huawei AI chip tests (via Epoch AI)",
        "CSET，《Pushing the Limits: Huawei AI chip tests》（经 Epoch AI）",
    ),
    ("FlagOpen/FlagPerf, base tests", "FlagOpen/FlagPerf，基础测试"),
    (
        "spheron.network, codesota and Linux Format pages (secondary, 2026-05)",
        "spheron.network、codesota 与 Linux Format 网页（二手，2026-05）",
    ),
    ("perma.cc die photograph", "perma.cc 裸片照片"),
    ("archived birentech.com", "birentech.com 存档"),
    (
        "China Unicom Sanjiangyuan list as shown by CCTV, September 2025",
        "央视 2025 年 9 月播出的中国联通三江源清单",
    ),
    ("CCTV and China Unicom lists of 2025", "央视与中国联通 2025 年清单"),
    ("epoch (CMBI report)", "Epoch（招银国际报告）"),
    ("one community table", "一份社区表格"),
    ("network cards of a typical node, a chip", "典型节点的网卡，按每卡计"),
    ("the rent that was given", "所给的租金"),
    (
        "Ember and Energy Institute through Our World in Data (table in codecarbon 3.3.2)",
        "Ember 与 Energy Institute，经 Our World in Data（codecarbon 3.3.2 所载）",
    ),
    (
        "low and high: 10% and 90% of the provinces, Ministry of Ecology and Environment, announcement 2025 No. 47"
        " (CO2 only)",
        "低与高：各省的 10% 与 90%，生态环境部公告 2025 年第 47 号（只计 CO2）",
    ),
    (
        "low and high: 10% and 90% of the states, EPA eGRID2023",
        "低与高：各州的 10% 与 90%，EPA eGRID2023",
    ),
    (
        "IEA, Global Energy & CO2 Status Report 2019 (as in codecarbon 3.3.2)",
        "IEA，《Global Energy & CO2 Status Report 2019》（codecarbon 3.3.2 所载）",
    ),
)
_PLACES = {
    "United Arab Emirates": "阿联酋",
    "Australia": "澳大利亚",
    "Brazil": "巴西",
    "Canada": "加拿大",
    "China": "中国",
    "Germany": "德国",
    "France": "法国",
    "United Kingdom": "英国",
    "India": "印度",
    "Ireland": "爱尔兰",
    "Japan": "日本",
    "South Korea": "韩国",
    "Netherlands": "荷兰",
    "Norway": "挪威",
    "Saudi Arabia": "沙特阿拉伯",
    "Sweden": "瑞典",
    "Singapore": "新加坡",
    "Taiwan": "台湾",
    "United States": "美国",
    "South Africa": "南非",
    "World": "全球",
}


def chinese_sources(words: str) -> str:
    """The sentences with their citations in Chinese."""
    for en, zh in _SOURCES:
        words = words.replace(en, zh)
    words = re.sub(r"\(grade ([A-E])\)", r"（\1 级）", words)
    return re.sub(
        r"\bgrid: (.+?) (\d{4}), ", lambda found: f"电网：{_PLACES.get(found[1], found[1])} {found[2]} 年，", words
    )


def chinese_place(name: str) -> str:
    """A country's name."""
    return _PLACES.get(name, name)
