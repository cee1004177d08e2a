"""What there is in the toy world: people, places, things, animals, each with its words in both languages.

Rows are ordered from frequent to rare (a draw prefers the earlier ones). Some rows carry facts that a story never
states as rules and a model can only learn by reading: what each person likes to eat, what one does at a place, what a
thing is for, which measure word counts it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Time = Literal["morning", "afternoon", "evening"]
Manner = Literal["go", "walk", "run"]
Putting = Literal["put", "leave", "hide"]


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
    """Something done: an English verb phrase in two tenses and a Chinese one, each around an object where it has one."""

    past: str
    present: str
    zh: str
    zh_end: str = ""
    """What follows the object in Chinese."""


@dataclass(frozen=True, eq=False, slots=True)
class Adjective:
    en: str
    zh: str
    zh_short: str
    """Without 的: after a possessor, which has one already."""
    colour: bool = False


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
    adjectives: str = ""
    """Which adjectives suit it: c colours, s sizes, a ages; none: it goes without."""
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
    name: str
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
    """What one does there."""


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


def _thing(en: str, zh: str, measure: str, adjectives: str, use: Act, traits: int = 0) -> Noun:
    return Noun(en, zh, measure, en + "s", use, adjectives, traits | USEFUL)


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
    _thing("flute", "笛子", "支", "ca", Act("played a song on", "plays a song on", "用", "吹了一首歌")),
    _thing("spade", "铲子", "把", "csa", Act("dug a hole with", "digs a hole with", "用", "挖了一个洞"), OUTDOORS),
    _thing("mirror", "镜子", "面", "sa", Act("looked into", "looks into", "照了照"), FRAGILE),
    _thing("blanket", "毯子", "条", "csa", Act("folded", "folds", "叠好了")),
    _thing("camera", "相机", "台", "csa", Act("took a photo with", "takes a photo with", "用", "拍了一张照片")),
    _thing("broom", "扫帚", "把", "sa", Act("swept the floor with", "sweeps the floor with", "用", "扫了地")),
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
    _several("stamp", "stamps", "邮票", "张"),
    _several("pencil", "pencils", "铅笔", "支"),
    _several("brush", "brushes", "刷子", "把"),
)
"""What people have several of."""

ADJECTIVES = {
    "c": (
        Adjective("red", "红色的", "红色", True),
        Adjective("blue", "蓝色的", "蓝色", True),
        Adjective("green", "绿色的", "绿色", True),
        Adjective("white", "白色的", "白色", True),
        Adjective("black", "黑色的", "黑色", True),
        Adjective("brown", "棕色的", "棕色", True),
        Adjective("pink", "粉色的", "粉色", True),
        Adjective("purple", "紫色的", "紫色", True),
    ),
    "s": (Adjective("big", "大", "大"), Adjective("small", "小", "小")),
    "a": (Adjective("new", "新", "新"), Adjective("old", "旧", "旧")),
}

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
    Person("Kate", "凯特", True, CARROT),
    Person("Dad", "爸爸", False, BUN, adult=True),
    Person("Rosa", "罗莎", True, NUT),
    Person("Jun", "小军", False, PEACH),
    Person("Nina", "妮娜", True, TOMATO),
)

ANIMALS = (
    Animal(Noun("dog", "狗", "只", "dogs", adjectives="cs"), Act("barked", "barks", "汪汪地叫"), BONE),
    Animal(Noun("cat", "猫", "只", "cats", adjectives="cs"), Act("purred", "purrs", "喵喵地叫"), FISH),
    Animal(Noun("rabbit", "兔子", "只", "rabbits", adjectives="cs"), Act("hopped up and down", "hops up and down", "蹦蹦跳跳"), CARROT),
    Animal(Noun("duck", "鸭子", "只", "ducks", adjectives="cs"), Act("quacked", "quacks", "嘎嘎地叫"), BUN),
    Animal(Noun("horse", "马", "匹", "horses", adjectives="cs"), Act("shook its head", "shakes its head", "摇了摇头"), APPLE),
    Animal(Noun("monkey", "猴子", "只", "monkeys", adjectives="cs"), Act("danced", "dances", "跳起了舞"), BANANA),
    Animal(Noun("squirrel", "松鼠", "只", "squirrels", adjectives="cs"), Act("waved its tail", "waves its tail", "摇了摇尾巴"), NUT),
    Animal(Noun("goat", "山羊", "只", "goats", adjectives="cs"), Act("jumped for joy", "jumps for joy", "高兴地跳了起来"), PEAR),
)


def _place(
    name: str,
    prepositions: str,
    zh: str,
    zh_at: str,
    indoors: bool,
    spots: tuple[str, str, str, str],
    act: Act,
) -> Place:
    first, first_zh, second, second_zh = spots
    at, inside = prepositions.split()
    assert at in ("in", "at", "on", "by")
    return Place(
        name,
        f"{at} {inside} {name}",
        f"{inside} {name}",
        zh,
        zh_at,
        indoors,
        (Spot(first, first_zh), Spot(second, second_zh)),
        act,
    )


PLACES = (
    _place(
        "garden", "in the", "花园", "花园里", False,
        ("under the tree", "大树下", "by the wall", "围墙旁边"),
        Act("watered the roses", "waters the roses", "给玫瑰浇了水"),
    ),
    _place(
        "kitchen", "in the", "厨房", "厨房里", True,
        ("on the table", "桌子上", "in the cupboard", "柜子里"),
        Act("made some soup", "makes some soup", "煮了汤"),
    ),
    _place(
        "park", "in the", "公园", "公园里", False,
        ("on the bench", "长椅上", "by the pond", "池塘边"),
        Act("sat on the swing", "sits on the swing", "荡了一会儿秋千"),
    ),
    _place(
        "bedroom", "in the", "卧室", "卧室里", True,
        ("on the bed", "床上", "under the chair", "椅子下"),
        Act("sang a song", "sings a song", "唱了一首歌"),
    ),
    _place(
        "market", "at the", "市场", "市场上", False,
        ("on the cart", "推车上", "beside the fountain", "喷泉旁边"),
        Act("bought some rice", "buys some rice", "买了一些米"),
    ),
    _place(
        "library", "in the", "图书馆", "图书馆里", True,
        ("on the shelf", "书架上", "by the window", "窗户旁边"),
        Act("read a story", "reads a story", "读了一个故事"),
    ),
    _place(
        "river", "by the", "河边", "河边", False,
        ("on the bridge", "桥上", "in the grass", "草丛里"),
        Act("watched the fish", "watches the fish", "看了看鱼"),
    ),
    _place(
        "school", "at the", "学校", "学校里", True,
        ("on the desk", "课桌上", "beside the blackboard", "黑板旁边"),
        Act("learned a poem", "learns a poem", "学了一首诗"),
    ),
    _place(
        "forest", "in the", "森林", "森林里", False,
        ("under the leaves", "树叶下", "by the stream", "小溪边"),
        Act("looked for mushrooms", "looks for mushrooms", "找了一会儿蘑菇"),
    ),
    _place(
        "shop", "in the", "商店", "商店里", True,
        ("on the counter", "柜台上", "behind the curtain", "帘子后面"),
        Act("bought some milk", "buys some milk", "买了一些牛奶"),
    ),
    _place(
        "beach", "on the", "海滩", "海滩上", False,
        ("in the boat", "小船里", "behind the rocks", "岩石后面"),
        Act("built a sandcastle", "builds a sandcastle", "堆了一座沙堡"),
    ),
    _place(
        "barn", "in the", "谷仓", "谷仓里", True,
        ("behind the door", "门后面", "on the hay", "干草上"),
        Act("fed the hens", "feeds the hens", "喂了母鸡"),
    ),
    _place(
        "farm", "on the", "农场", "农场里", False,
        ("by the fence", "篱笆旁边", "beside the well", "水井旁边"),
        Act("planted some beans", "plants some beans", "种了一些豆子"),
    ),
    _place(
        "station", "at the", "车站", "车站里", True,
        ("on the stairs", "楼梯上", "under the clock", "大钟下"),
        Act("waited for the train", "waits for the train", "等了一会儿火车"),
    ),
    _place(
        "hill", "on the", "山坡", "山坡上", False,
        ("by the tower", "塔旁边", "behind the bushes", "灌木后面"),
        Act("counted the clouds", "counts the clouds", "数了数云"),
    ),
)  # fmt: skip
BEDROOM = next(place for place in PLACES if place.name == "bedroom")
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

NUMBERS = tuple("zero one two three four five six seven eight nine ten eleven twelve".split())
NUMBERS_ZH = tuple("零一二三四五六七八九") + ("十", "十一", "十二")


@dataclass(frozen=True, eq=False, slots=True)
class Description:
    """A noun with its adjective, in the forms that sentences need."""

    noun: Noun
    adjective: Adjective | None
    a: str
    the: str
    the_short: str
    bare: str
    zh_a: str
    zh_the: str
    zh_own: str
    """After a possessor: 红色帽子."""


@lru_cache(maxsize=None)
def describe(noun: Noun, adjective: Adjective | None = None) -> Description:
    """The forms of "red ball", or of "ball" where no adjective is given."""
    bare = f"{adjective.en} {noun.en}" if adjective else noun.en
    zh = adjective.zh + noun.zh if adjective else noun.zh
    own = adjective.zh_short + noun.zh if adjective else noun.zh
    return Description(
        noun, adjective, a(bare), f"the {bare}", f"the {noun.en}", bare, f"一{noun.measure}{zh}", zh, own
    )


def a(words: str) -> str:
    """With the indefinite article that English asks for."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
