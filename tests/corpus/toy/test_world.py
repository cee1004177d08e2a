import re
from collections import Counter

from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.world import (
    AGES,
    ANIMALS,
    BONE,
    COLOURS,
    COUNTED,
    FOODS,
    PEOPLE,
    PLACES,
    SIZES,
    THINGS,
    WEATHERS,
    a,
    describe,
)

NOUNS = (*THINGS, *FOODS, BONE, *COUNTED, *(animal.noun for animal in ANIMALS))

# The Chinese words beside names, nouns, places and qualities, so that text can be cut into words.
ZH_WORDS = re.findall(
    r"\S+",
    """
    的 了 在 有 是 和 也 就 都 把 给 用 跟着 因为 可是 然后 接着 不久 后来 这时 现在 最后 这 那
    这里 那里 这天 那天 一个 一 两 二 三 四 五 六 七 八 九 十 十一 十二 几 个 种 样 东西 动物
    颜色 食物 地方 女孩 男孩 他 她 它 他们 她们 你 我 谁 什么 怎么样 哪里 吗 不 没有 没 不行 可以
    是的 别 很 又 一起 笑着 不小心 早上 下午 傍晚 晚上 天 天气 外面 下着 刮着 下 刮风 下雪 下雨 雨
    雪 风 起 晴朗 温暖 寒冷 去 来到 走到 跑到 赶到 跑进 慢慢地 飞快地 悄悄地 高兴地 小心地 放在 留在
    藏在 放着 拿着 拿起 拿走 拿 看 看见 发现 找 找到 找不到 找了找 看了看 谢谢 谢了谢 高兴 开心 笑
    难过 伤心 哭 起来 抱了抱 说 问 你好 喜欢 想要 想 玩 扔 接住 掉在 打碎 饿 觉得 累 买 吃 吃掉
    吃饱 坐下来 坐下 坐 上 休息 一会儿 睡 梦见 睡得 香 送 丢 撑开 淋湿 太阳 出来 摸了摸 跑 跳起 舞 汪汪地
    喵喵地 嘎嘎地 叫 蹦蹦跳跳 摇了摇 头 尾巴 跳 回家 大家 好朋友 朋友 美好 愉快 快乐 一天 手 里 加 减
    等于 踢了踢 戴上 喝 水 放 打开 门 擦了擦 敲了敲 闻了闻 画 一幅 围上 点亮 试了试 吹 一首 歌 挖 洞
    照了照 叠好 拍 一张 照片 扫 地 浇 做 一些 唱 关于 读 故事 堆 一座 喂 等 一朵 像 云 要 拿给
    回答 问题 沙堡 浇水 一只 一条 一本 一顶 答
    """,
)


def test_words_are_unlike_each_other_in_both_languages() -> None:
    rows = [*NOUNS, *PEOPLE, *PLACES, *COLOURS, *SIZES, *AGES, *WEATHERS]
    for words in ([row.en for row in rows], [row.zh for row in rows]):
        assert not [word for word, times in Counter(words).items() if times > 1]
    spots = [spot for place in PLACES for spot in place.spots]
    assert len({spot.en for spot in spots}) == len({spot.zh for spot in spots}) == len(spots)


def test_the_forms_of_a_description() -> None:
    ball, red, small = THINGS[0], COLOURS[0], SIZES[0]
    about = describe(ball, red, small)
    assert (about.a, about.the_short, about.zh_a) == ("a small red ball", "the ball", "一个红色的小球")
    assert a("old hat") == "an old hat"
    assert describe(FOODS[0]).plain


def test_the_lexicon_is_small() -> None:
    english: Counter[str] = Counter()
    for document in documents(ToyConfig(languages=("en",), entropy=1.0), 0, 6000):
        english.update(re.findall(r"[a-z]+", document.text.lower().replace("'s", "")))
    words = {*ZH_WORDS, *(noun.zh for noun in NOUNS), *(noun.measure for noun in NOUNS)}
    words |= {person.zh for person in PEOPLE} | {place.zh for place in PLACES}
    words |= {part for row in (*COLOURS, *SIZES, *AGES) for part in (row.zh.removesuffix("的"), "的")}
    words |= {spot.zh for place in PLACES for spot in place.spots}
    words |= {thing.zh for place in PLACES for thing in place.objects}
    longest = sorted(words, key=len, reverse=True)
    cut = re.compile("|".join(longest) + r"|[，。？！、：“”\n]|(?P<unknown>.)")
    chinese: Counter[str] = Counter()
    for document in documents(ToyConfig(languages=("zh",), entropy=1.0), 0, 6000):
        for match in cut.finditer(document.text):
            assert not match["unknown"], (match[0], document.text)
            chinese[match[0]] += 1
    chinese_words = {word for word in chinese if re.match(r"[\u4e00-\u9fff]", word)}
    assert 400 < len(english) < 430
    assert 350 < len(chinese_words) < 380
    assert 300 < len(english) + len(chinese_words) < 800
