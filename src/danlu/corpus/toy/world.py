"""What there is in the toy world: people, places, things, animals, each with its words in both languages.

Rows are ordered from frequent to rare (a draw prefers the earlier ones). Some rows carry facts that a story never
states as rules and a model can only learn by reading: what each person likes to eat, what one does at a place, what a
thing is for, which measure word counts it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Time = Literal["morning", "afternoon", "evening"]


# Bits of a noun's traits; plain integers, for they are tested at every step.
TOY = 1
"""Two can play with it."""
THROWN = 2
"""One can throw it to another."""
FRAGILE = 4
UMBRELLA = 8
OUTDOORS = 16
"""Used and played with only under the sky."""
USEFUL = 32
"""Has a use."""
EDIBLE = 64
"""People eat it."""


@dataclass(frozen=True, eq=False, slots=True)
class Act:
    """Something done: a verb phrase in two English tenses and in Chinese, before an object where it has one."""

    past: str
    present: str
    zh: str
    zh_end: str = ""
    """What follows the object in Chinese."""


@dataclass(frozen=True, eq=False, slots=True)
class Phrase:
    """Something said alike everywhere."""

    en: str
    zh: str


@dataclass(frozen=True, eq=False, slots=True)
class Quality:
    """A colour, a size or an age, as it stands before a noun."""

    en: str
    zh: str


@dataclass(frozen=True, eq=False, slots=True)
class Noun:
    """A kind of thing that can be carried, eaten or counted."""

    en: str
    zh: str
    measure: str
    """The Chinese measure word."""
    plural: str = ""
    use: Act | None = None
    """What it is for."""
    qualities: str = ""
    """Which qualities suit it: c colours, f an animal's colours, s sizes, a ages; empty: none is told."""
    traits: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    en: str
    zh: str
    female: bool
    likes: Noun
    """The food this person looks for when hungry: a fact of the world."""
    adult: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Animal:
    noun: Noun
    sound: Act
    food: Noun
    """The one thing it eats."""


@dataclass(frozen=True, eq=False, slots=True)
class Spot:
    """Where in a place a thing can lie; each spot belongs to one place."""

    en: str
    zh: str


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    en: str
    at: str
    """English: where one is, "in the kitchen"."""
    to: str
    """English: where one goes, "the kitchen"."""
    zh: str
    """Chinese: where one goes."""
    zh_at: str
    """Chinese: where one is, without 在."""
    indoors: bool
    spots: tuple[Spot, Spot]
    act: Act
    """What one does there, to or with something."""
    objects: tuple[Phrase, ...]
    """The things it is done to; none: to an animal."""


def _food(en: str, plural: str, zh: str, measure: str, traits: int = EDIBLE) -> Noun:
    return Noun(en, zh, measure, plural, traits=traits)


BANANA = _food("banana", "bananas", "香蕉", "根")
BONE = _food("bone", "bones", "骨头", "根", traits=0)
BUN = _food("bun", "buns", "小面包", "个")
CARROT = _food("carrot", "carrots", "胡萝卜", "根")
FISH = _food("fish", "fish", "鱼", "条")
NUT = _food("nut", "nuts", "坚果", "颗")
APPLE = _food("apple", "apples", "苹果", "个")
CAKE = _food("cake", "cakes", "蛋糕", "块")
COOKIE = _food("cookie", "cookies", "饼干", "块")
EGG = _food("egg", "eggs", "鸡蛋", "个")
PEAR = _food("pear", "pears", "梨", "个")
PEACH = _food("peach", "peaches", "桃子", "个")
TOMATO = _food("tomato", "tomatoes", "西红柿", "个")

FOODS = (APPLE, CAKE, EGG, COOKIE, PEAR, BANANA, CARROT, PEACH, BUN, TOMATO, NUT, FISH)
"""What people eat; a bone is for the dog."""


def _thing(en: str, zh: str, measure: str, qualities: str, use: Act, traits: int = 0) -> Noun:
    return Noun(en, zh, measure, en + "s", use, qualities, traits | USEFUL)


THINGS = (
    _thing("ball", "球", "个", "cs", Act("kicked", "kicks", "踢了踢"), TOY | THROWN),
    _thing("book", "书", "本", "csa", Act("read", "reads", "看了一会儿")),
    _thing("hat", "帽子", "顶", "csa", Act("put on", "puts on", "戴上了")),
    _thing("cup", "杯子", "个", "csa", Act("drank from", "drinks from", "用", "喝了水"), FRAGILE),
    _thing("kite", "风筝", "个", "csa", Act("flew", "flies", "放了一会儿"), TOY | OUTDOORS),
    _thing("key", "钥匙", "把", "sa", Act("opened a door with", "opens a door with", "用", "打开了门")),
    _thing("doll", "娃娃", "个", "sa", Act("hugged", "hugs", "抱了抱"), TOY),
    _thing("umbrella", "雨伞", "把", "csa", Act("cleaned", "cleans", "擦了擦"), UMBRELLA),
    _thing("drum", "鼓", "面", "csa", Act("beat", "beats", "敲了敲"), TOY),
    _thing("flower", "花", "朵", "cs", Act("smelled", "smells", "闻了闻")),
    _thing("bag", "书包", "个", "csa", Act("opened", "opens", "打开了")),
    _thing("pen", "笔", "支", "csa", Act("drew a picture with", "draws a picture with", "用", "画了一幅画")),
    _thing("scarf", "围巾", "条", "csa", Act("wore", "wears", "围上了")),
    _thing("lamp", "灯", "盏", "csa", Act("lit", "lights", "点亮了"), FRAGILE),
    _thing("bell", "铃铛", "个", "sa", Act("rang", "rings", "摇了摇")),
    _thing("coat", "外套", "件", "csa", Act("tried on", "tries on", "试了试")),
    _thing("mirror", "镜子", "面", "sa", Act("looked into", "looks into", "照了照"), FRAGILE),
)


def _several(en: str, plural: str, zh: str, measure: str) -> Noun:
    return Noun(en, zh, measure, plural)


COUNTED = (
    _several("shell", "shells", "贝壳", "个"),
    _several("stone", "stones", "石头", "块"),
    _several("coin", "coins", "硬币", "枚"),
    _several("leaf", "leaves", "树叶", "片"),
    _several("card", "cards", "卡片", "张"),
    _several("berry", "berries", "浆果", "颗"),
    _several("button", "buttons", "纽扣", "颗"),
    _several("feather", "feathers", "羽毛", "根"),
)
"""What people have several of."""

COLOURS = (
    Quality("red", "红色的"),
    Quality("blue", "蓝色的"),
    Quality("green", "绿色的"),
    Quality("white", "白色的"),
    Quality("black", "黑色的"),
    Quality("brown", "棕色的"),
    Quality("pink", "粉色的"),
    Quality("purple", "紫色的"),
)
FURS = tuple(colour for colour in COLOURS if colour.en in ("white", "black", "brown"))
SIZES = (Quality("small", "小"), Quality("big", "大"))
AGES = (Quality("old", "旧"), Quality("new", "新"))

MANNERS = (
    Act("went", "goes", "去了"),
    Act("walked", "walks", "走到了"),
    Act("ran", "runs", "跑到了"),
    Act("walked slowly", "walks slowly", "慢慢地走到了"),
    Act("hurried", "hurries", "赶到了"),
    Act("ran quickly", "runs quickly", "飞快地跑到了"),
    Act("ran happily", "runs happily", "高兴地跑到了"),
)
"""Ways of going somewhere."""
PUTTINGS = (
    Act("put", "puts", "放在了"),
    Act("left", "leaves", "留在了"),
    Act("hid", "hides", "藏在了"),
)
"""Ways of putting something somewhere."""

PEOPLE = (
    Person("Mia", "米娅", True, APPLE),
    Person("Tom", "汤姆", False, CAKE),
    Person("Lily", "莉莉", True, PEAR),
    Person("Danny", "丹尼", False, BANANA),
    Person("Anna", "安娜", True, COOKIE),
    Person("Max", "麦克", False, EGG),
    Person("Grandma", "奶奶", True, BUN, adult=True),
    Person("Sam", "山姆", False, CARROT),
    Person("Mei", "小美", True, PEACH),
    Person("Jack", "杰克", False, APPLE),
    Person("Lucy", "露西", True, CAKE),
    Person("Ming", "小明", False, NUT),
    Person("Mum", "妈妈", True, TOMATO, adult=True),
    Person("Leo", "里奥", False, FISH),
    Person("Emma", "艾玛", True, EGG),
    Person("Paul", "保罗", False, PEAR),
    Person("Grandpa", "爷爷", False, FISH, adult=True),
    Person("Ling", "小玲", True, BANANA),
    Person("Peter", "彼得", False, COOKIE),
    Person("Dad", "爸爸", False, BUN, adult=True),
)


def _animal(en: str, zh: str, measure: str, pleased: Act, food: Noun) -> Animal:
    return Animal(Noun(en, zh, measure, en + "s", qualities="fs"), pleased, food)


ANIMALS = (
    _animal("dog", "狗", "只", Act("barked", "barks", "汪汪地叫"), BONE),
    _animal("cat", "猫", "只", Act("purred", "purrs", "喵喵地叫"), FISH),
    _animal("rabbit", "兔子", "只", Act("hopped up and down", "hops up and down", "蹦蹦跳跳"), CARROT),
    _animal("duck", "鸭子", "只", Act("quacked", "quacks", "嘎嘎地叫"), BUN),
    _animal("horse", "马", "匹", Act("shook its head", "shakes its head", "摇了摇头"), APPLE),
    _animal("monkey", "猴子", "只", Act("danced", "dances", "跳起了舞"), BANANA),
    _animal("squirrel", "松鼠", "只", Act("waved its tail", "waves its tail", "摇了摇尾巴"), NUT),
)


def _place(at: str, names: str, roof: bool, spots: str, act: Act, objects: str = "") -> Place:
    """A row of the table below: alternatives are parted by a stroke, English and Chinese by an equals sign."""
    en, zh, zh_at = names.split("=")
    first, second = (Spot(*spot.split("=")) for spot in spots.split(" | "))
    things = tuple(Phrase(*thing.split("=")) for thing in objects.split(" | ")) if objects else ()
    return Place(en, f"{at} the {en}", f"the {en}", zh, zh_at, roof, (first, second), act, things)


PLACES = (
    _place(
        "in", "garden=花园=花园里", False, "under the tree=大树下 | by the wall=围墙旁边",
        Act("watered the", "waters the", "给", "浇了水"), "roses=玫瑰 | tomatoes=西红柿 | beans=豆子 | grass=草",
    ),
    _place(
        "in", "kitchen=厨房=厨房里", True, "on the table=桌子上 | in the cupboard=柜子里",
        Act("made some", "makes some", "做了一些"), "soup=汤 | bread=面包 | tea=茶 | jam=果酱 | cake=蛋糕",
    ),
    _place(
        "in", "park=公园=公园里", False, "on the bench=长椅上 | by the pond=池塘边",
        Act("sat on the", "sits on the", "在", "上坐了一会儿"), "swing=秋千 | grass=草地 | slide=滑梯",
    ),
    _place(
        "in", "bedroom=卧室=卧室里", True, "on the bed=床上 | under the chair=椅子下",
        Act("sang a song about", "sings a song about", "唱了一首关于", "的歌"),
    ),
    _place(
        "at", "market=市场=市场上", False, "on the cart=推车上 | beside the fountain=喷泉旁边",
        Act("bought some", "buys some", "买了一些"), "rice=米 | honey=蜂蜜 | tea=茶 | cheese=奶酪",
    ),
    _place(
        "in", "library=图书馆=图书馆里", True, "on the shelf=书架上 | by the window=窗户旁边",
        Act("read a story about", "reads a story about", "读了一个关于", "的故事"),
    ),
    _place(
        "by", "river=河边=河边", False, "on the bridge=桥上 | in the grass=草丛里",
        Act("watched", "watches", "看了看"),
    ),
    _place(
        "at", "school=学校=学校里", True, "on the desk=课桌上 | beside the blackboard=黑板旁边",
        Act("drew", "draws", "画了"),
    ),
    _place(
        "in", "forest=森林=森林里", False, "under the leaves=树叶下 | by the stream=小溪边",
        Act("saw", "sees", "看见了"),
    ),
    _place(
        "in", "shop=商店=商店里", True, "on the counter=柜台上 | behind the curtain=帘子后面",
        Act("bought some", "buys some", "买了一些"), "milk=牛奶 | soap=肥皂 | paper=纸 | sugar=糖",
    ),
    _place(
        "on", "beach=海滩=海滩上", False, "in the boat=小船里 | behind the rocks=岩石后面",
        Act("built", "builds", "堆了"), "a big sandcastle=一座大沙堡 | a small sandcastle=一座小沙堡",
    ),
    _place(
        "on", "farm=农场=农场里", False, "by the fence=篱笆旁边 | beside the well=水井旁边",
        Act("planted some", "plants some", "种了一些"), "beans=豆子 | carrots=胡萝卜 | roses=玫瑰",
    ),
)  # fmt: skip
BEDROOM = next(place for place in PLACES if place.en == "bedroom")
INDOORS = sum(1 << i for i, place in enumerate(PLACES) if place.indoors)
"""The bits of the places with a roof."""


@dataclass(frozen=True, eq=False, slots=True)
class Weather:
    en: str
    zh: str
    """Before a noun: 一个晴朗的早上."""
    zh_clause: str
    """As a clause: 天气晴朗."""
    wet: bool = False


WEATHERS = (
    Weather("sunny", "晴朗的", "天气晴朗"),
    Weather("warm", "温暖的", "天气温暖"),
    Weather("cold", "寒冷的", "天气寒冷"),
    Weather("rainy", "下雨的", "外面下着雨", wet=True),
    Weather("windy", "刮风的", "外面刮着风"),
    Weather("snowy", "下雪的", "外面下着雪", wet=True),
)

TIMES: dict[Time, str] = {"morning": "早上", "afternoon": "下午", "evening": "傍晚"}

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS_ZH = (*"零一二三四五六七八九十", "十一", "十二")


@dataclass(frozen=True, eq=False, slots=True)
class Description:
    """A noun with its qualities, in the forms that sentences need."""

    noun: Noun
    colour: Quality | None
    other: Quality | None
    """Its size or age."""
    en: str
    """small red ball"""
    a: str
    the: str
    the_short: str
    """the ball"""
    zh: str
    """红色的小球"""
    zh_a: str
    """一个红色的小球"""

    @property
    def plain(self) -> bool:
        """Whether it is the noun alone."""
        return self.colour is None and self.other is None


@cache
def describe(noun: Noun, colour: Quality | None = None, other: Quality | None = None) -> Description:
    """The forms of "small red ball", or of "ball" where no quality is given."""
    en = " ".join([*(quality.en for quality in (other, colour) if quality), noun.en])
    zh = "".join([*(quality.zh for quality in (colour, other) if quality), noun.zh])
    return Description(noun, colour, other, en, a(en), f"the {en}", f"the {noun.en}", zh, f"一{noun.measure}{zh}")


def a(words: str) -> str:
    """With the indefinite article that English asks for."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


@dataclass(frozen=True, eq=False, slots=True)
class Category:
    """What can be listed, with the words of its members."""

    en: str
    zh: str
    """With the measure word that numbers take before it."""
    members: tuple[Phrase, ...]


def _nouns(nouns: Iterable[Noun]) -> tuple[Phrase, ...]:
    return tuple(Phrase(a(noun.en), noun.zh) for noun in nouns)


CATEGORIES = (
    Category("animals", "种动物", _nouns(animal.noun for animal in ANIMALS)),
    Category("things", "样东西", _nouns(THINGS)),
    Category("colours", "种颜色", tuple(Phrase(colour.en, colour.zh.removesuffix("的")) for colour in COLOURS)),
    Category("foods", "种食物", _nouns(FOODS)),
    Category("places", "个地方", tuple(Phrase(place.to, place.zh) for place in PLACES)),
    Category("girls", "个女孩", tuple(Phrase(x.en, x.zh) for x in PEOPLE if x.female and not x.adult)),
    Category("boys", "个男孩", tuple(Phrase(x.en, x.zh) for x in PEOPLE if not x.female and not x.adult)),
)
