"""The Chinese voice."""

from collections.abc import Iterator

from danlu.corpus.toy.chooser import Choice
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.voice import ADJECTIVE_AGAIN, THING_AGAIN, Voice
from danlu.corpus.toy.world import (
    NUMBERS_ZH,
    TIMES,
    Act,
    Category,
    Description,
    Noun,
    Phrase,
    Place,
    Spot,
    Time,
    Weather,
)

LEAD = Choice({"": 6, "然后，": 2, "接着，": 1, "不久，": 1, "后来，": 1, "这时，": 0.7})
OPENING = Choice({0: 3, 1: 2, 2: 1})
MEETING = Choice({0: 3, 1: 2, 2: 2})
FIRST = Choice({True: 3, False: 2})
"""Which of two ways to say the same, the first being the commoner."""
HAPPY = Choice({"高兴": 3, "开心": 2})
SAD = Choice({"很难过": 3, "很伤心": 2, "哭了起来": 2})
RAIN = Choice({"下雨了": 3, "天下起了雨": 2})
DAY = Choice({"美好": 3, "愉快": 2, "快乐": 1})


class Chinese(Voice):
    """Tells a story in Chinese."""

    QUESTION = ("问：", "答：")
    COMMA = "、"
    AND = "和"

    # Pieces of sentences

    def _lead(self, adverb: bool) -> str:
        """What comes before the subject: a new line, the time, an adverb or nothing."""
        gap, self.gap = self.gap, " "
        if gap == " ":
            return self.choose.pick(LEAD) if adverb else ""
        if self.time is not None:
            time, self.time = self.time, None
            return f"{gap}{TIMES[time]}，"
        return gap

    def _begin(self, x: Actor, adverb: bool = False) -> None:
        """Start a sentence whose subject is a person."""
        lead = self._lead(adverb)
        self.parts.append(lead + (("她" if x.female else "他") if self._pronoun(x) else x.person.zh))

    def _begin_with(self, words: str, adverb: bool = False) -> None:
        """Start a sentence with other words."""
        self.parts.append(self._lead(adverb) + words)

    def _end(self, text: str, subject: Actor | None, other: Actor | None = None, it: Thing | None = None) -> None:
        """Close a sentence, and remember whom and what it named."""
        self.parts.append(text)
        self.num_sentences += 1
        self.subject = subject
        self.other = other
        self.it = it

    def _say(self, speaker: Actor, words: str, other: Actor | None, it: Thing | None = None) -> None:
        """A statement within quotation marks; `words` bring their full stop."""
        self._begin_with(speaker.person.zh)
        self._end(f"{'说' if self.choose.pick(FIRST) else '笑着说'}：“{words}”", speaker, other, it)

    def _whom(self, subject: Actor | None, actor: Actor) -> str:
        """A person as an object."""
        if self._object_pronoun(subject, actor):
            return "她" if actor.female else "他"
        return actor.person.zh

    def _the(self, t: Thing) -> str:
        """A thing that the listener knows, where 它 is natural: after 把."""
        if self.it is t and not self.choose.pick(THING_AGAIN):
            return "它"
        return self.the_thing(t)

    def the_thing(self, t: Thing) -> str:
        """A known thing by its noun, and by its adjective where that is needed or chosen."""
        about = t.about
        if t.double or about.plain or self.choose.pick(ADJECTIVE_AGAIN):
            return about.zh
        return about.noun.zh

    def exactly(self, t: Thing) -> str:
        """A known thing in no more words than tell it apart."""
        return t.about.zh if t.double else t.noun.zh

    def _of(self, place: Place) -> str:
        """Before a spot: whose place it is of, unless that is the place named last."""
        if self.here is place:
            return ""
        self.here = place
        return place.zh + "的"

    # The scene

    def opening(self, x: Actor, time: Time, weather: Weather) -> None:
        name, at, when = x.person.zh, x.place.zh_at, TIMES[time]
        frame = self.choose.pick(OPENING)
        if frame == 0:
            text = f"一个{weather.zh}{when}，{name}在{at}。"
        elif frame == 1:
            text = f"这天{when}{weather.zh_clause}。{name}在{at}。"
            self.num_sentences += 1
        else:
            text = f"在一个{weather.zh}{when}，{name}来到了{x.place.zh}。"
        self.gap = " "
        self.here = x.place
        self._end(text, x)

    def joins(self, y: Actor, x: Actor) -> None:
        name = y.person.zh
        if self.subject is x and not (y.person.adult or x.person.adult) and self.choose.pick(FIRST):
            name = f"{'她' if x.female else '他'}的朋友{name}"
        self._begin_with(name)
        if self.here is y.place:
            self._end("也在那里。", y)
        else:
            self.here = y.place
            self._end(f"在{y.place.zh_at}。", y)

    def lie(self, spot: Spot, place: Place, number: int, things: Iterator[Thing]) -> None:
        self._begin_with(self._of(place) + spot.zh)
        self.parts.append("有" if self.choose.pick(FIRST) else "放着")
        it = self._tell_new(number, things)
        self._end("。", None, None, it)

    def owns(self, x: Actor, number: int, things: Iterator[Thing]) -> None:
        self._begin(x)
        self.parts.append("有" if self.choose.pick(FIRST) else "拿着")
        it = self._tell_new(number, things)
        self._end("。", x, None, it)

    def _new(self, t: Thing) -> str:
        return t.about.zh_a

    # Moving, and what people do

    def goes(self, x: Actor, manner: Act) -> None:
        self._begin(x, True)
        self.here = x.place
        self._end(f"{manner.zh}{x.place.zh}。", x)

    def follows(self, beast: Beast) -> None:
        friend = beast.friend
        assert friend is not None
        self._begin_with(beast.about.noun.zh)
        self._end(f"跟着{self._whom(None, friend)}。", friend)

    def meets(self, x: Actor, y: Actor) -> None:
        frame = self.choose.pick(MEETING)
        if frame == 0:
            self._begin(x)
            self._end(f"在那里看见了{y.person.zh}。", x, y)
        elif frame == 1:
            self._begin_with(y.person.zh)
            self._end("也在那里。", y)
        else:
            self._say(x, f"{y.person.zh}，你好！", y)

    def does(self, x: Actor, objects: list[Phrase] | list[Description]) -> None:
        self._begin(x, True)
        place = "" if self.here is x.place else f"在{x.place.zh_at}"
        self.here = x.place
        act = x.place.act
        words = self.listed([what.zh if isinstance(what, Phrase) else what.zh_a for what in objects])
        self._end(f"{place}{act.zh}{words}{act.zh_end}。", x)

    def tires(self, x: Actor) -> None:
        self._begin(x, True)
        self._end("累了。" if self.choose.pick(FIRST) else "觉得很累。", x)

    def rests(self, x: Actor) -> None:
        self._begin(x)
        self._end("坐下来休息了一会儿。", x)

    def naps(self, x: Actor, dream: Description) -> None:
        self._begin(x)
        self.here = x.place
        self._end(f"去{x.place.zh}睡了一会儿，梦见了{dream.zh_a}。", x)

    # Things

    def finds(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        self._end(f"在{self._of(x.place)}{spot.zh}发现了{t.about.zh_a}。", x, None, t)

    def takes(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f"{'拿起了' if self.choose.pick(FIRST) else '拿走了'}{self.the_thing(t)}。", x, None, t)

    def puts(self, x: Actor, t: Thing, how: Act) -> None:
        assert t.spot is not None
        self._begin(x, True)
        self._end(f"把{self._the(t)}{how.zh}{self._of(x.place)}{t.spot.zh}。", x, None, t)

    def praises(self, y: Actor, x: Actor, t: Thing) -> None:
        if self.choose.pick(FIRST):
            self._say(y, f"{x.person.zh}，我喜欢你的{self.exactly(t)}。", x, t)
        else:
            self._begin(y)
            self._end(f"很喜欢{x.person.zh}的{self.exactly(t)}。", y, x, t)

    def gives(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing = self._the(t)
        gave = "给了" if self.choose.pick(FIRST) else "送给了"
        self._end(f"把{thing}{gave}{self._whom(x, y)}。", x, y, t)

    def thanks(self, y: Actor, x: Actor) -> None:
        if self.choose.pick(FIRST):
            self._say(y, f"谢谢你，{x.person.zh}。", x, self.it)
        else:
            self._begin_with(y.person.zh)
            self._end(f"谢了谢{self._whom(y, x)}。", y, x, self.it)

    def rejoices(self, x: Actor) -> None:
        it = self.it
        self._begin_with(x.person.zh)
        if self.choose.pick(FIRST):
            self._end(f"很{self.choose.pick(HAPPY)}。", x, None, it)
        else:
            self._end("笑了。", x, None, it)

    def grieves(self, x: Actor) -> None:
        self._begin(x)
        self._end(f"{self.choose.pick(SAD)}。", x)

    def comforts(self, y: Actor, x: Actor) -> None:
        if self.choose.pick(FIRST):
            self._begin(y)
            self._end(f"抱了抱{self._whom(y, x)}。", y, x)
        else:
            self._begin_with(y.person.zh)
            self._end(f"说：“别难过，{x.person.zh}。”", y, x)

    def shows(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing = self._the(t)
        self._end(f"把{thing}拿给{self._whom(x, y)}看。", x, y, t)

    def uses(self, x: Actor, t: Thing) -> None:
        use = t.noun.use
        assert use is not None
        self._begin(x, True)
        self._end(f"{use.zh}{self.the_thing(t)}{use.zh_end}。", x, None, t)

    def plays(self, x: Actor, y: Actor, t: Thing) -> None:
        self._begin_with(f"{x.person.zh}和{y.person.zh}", True)
        self._end(f"一起玩{self.the_thing(t)}。", x, y, t)

    def laugh(self, x: Actor, y: Actor) -> None:
        self._begin_with("她们" if x.female and y.female else "他们")
        if self.choose.pick(FIRST):
            self._end("笑了。", x, y, self.it)
        else:
            self._end(f"很{self.choose.pick(HAPPY)}。", x, y, self.it)

    def throws(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing = self._the(t)
        self._end(f"把{thing}扔给了{self._whom(x, y)}。", x, y, t)

    def catches(self, y: Actor, t: Thing) -> None:
        self._begin_with(y.person.zh)
        self._end(f"接住了{self.the_thing(t)}。", y, None, t)

    def misses(self, y: Actor, t: Thing) -> None:
        assert t.spot is not None
        self._begin_with(y.person.zh)
        self._end(f"没有接住，{t.noun.zh}掉在了{t.spot.zh}。", y, None, t)

    def breaks(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f"不小心把{self._the(t)}打碎了。", x)

    # Wishes

    def wants(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f"想要{self.the_thing(t)}。", x, None, t)

    def fetches(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self.here = x.place
        took = "拿起了" if self.choose.pick(FIRST) else "拿走了"
        self._end(f"来到{x.place.zh}，{took}{self.the_thing(t)}。", x, None, t)

    def asks_for(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x)
        self._end(f"问{self._whom(x, y)}：“可以把{self.the_thing(t)}给我吗？”", x, y, t)

    def grants(self, y: Actor, x: Actor) -> None:
        self._say(y, "可以，给你。", x, self.it)

    def refuses(self, y: Actor, x: Actor) -> None:
        self._begin_with(y.person.zh)
        self._end("说：“不行，这是我的。”", y, x, self.it)

    def hungers(self, x: Actor) -> None:
        self._begin(x, True)
        self._end("饿了。" if self.choose.pick(FIRST) else "觉得很饿。", x)

    def buys(self, x: Actor, t: Thing, there: bool) -> None:
        self._begin(x, True)
        self.here = x.place
        went = "" if there else f"去{x.place.zh}"
        self._end(f"{went}买了{t.about.zh_a}。", x, None, t)

    def eats(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f"{'吃了' if self.choose.pick(FIRST) else '吃掉了'}{self.the_thing(t)}。", x)

    def goes_and_eats(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        self.here = x.place
        self._end(f"去{x.place.zh}吃了{t.about.zh}。", x)

    def is_full(self, x: Actor) -> None:
        self._begin(x)
        self._end("不饿了。" if self.choose.pick(FIRST) else "吃饱了。", x)

    def loses(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f"找不到{'她' if x.female else '他'}那{t.noun.measure}{t.about.zh}了。", x, None, t)

    def searches(self, x: Actor, spot: Spot) -> None:
        it = self.it
        self._begin(x)
        self._end(f"在{self._of(x.place)}{spot.zh}找了找，可是没有找到。", x, None, it)

    def discovers(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        self._end(f"在{self._of(x.place)}{spot.zh}找到了{self.the_thing(t)}。", x, None, t)

    def discovers_elsewhere(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        self.here = x.place
        self._end(f"来到{x.place.zh}，在{spot.zh}找到了{self.the_thing(t)}。", x, None, t)

    def asks_where(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x)
        self._end(f"问{self._whom(x, y)}：“我的{t.noun.zh}在哪里？”", x, y, t)

    def tells_where(self, y: Actor, t: Thing) -> None:
        assert t.spot is not None
        assert t.place is not None
        self._say(y, f"在{t.place.zh}的{t.spot.zh}。", self.subject, t)

    # Counting

    def number_of(self, number: int) -> str:
        """So many of what the story counts."""
        noun = self.counted
        assert noun is not None
        return f"{'两' if number == 2 else NUMBERS_ZH[number]}{noun.measure}{noun.zh}"

    def has_some(self, x: Actor, noun: Noun) -> None:
        self.counted = noun
        self._begin(x)
        self._end(f"有{self.number_of(x.count)}。", x)

    def shares(self, x: Actor, y: Actor, number: int) -> None:
        self._begin(x, True)
        gave = "给了" if self.choose.pick(FIRST) else "送给"
        self._end(f"{gave}{self._whom(x, y)}{self.number_of(number)}。", x, y)

    def gains(self, x: Actor, number: int) -> None:
        self._begin(x, True)
        self._end(f"又找到了{self.number_of(number)}。", x)

    def drops(self, x: Actor, number: int) -> None:
        self._begin(x, True)
        self._end(f"丢了{self.number_of(number)}。", x)

    def tallies(self, x: Actor, y: Actor | None) -> None:
        self._begin_with(f"现在{x.person.zh}")
        text = f"有{self.number_of(x.count)}"
        if y is not None:
            text += f"，{y.person.zh}有{self.number_of(y.count)}"
        self._end(text + "。", x, y)

    # Weather and animals

    def rains(self) -> None:
        self._begin_with(self.choose.pick(RAIN), True)
        self._end("。", None)

    def shelters(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        self._end(f"撑开{self.the_thing(t)}，没有淋湿。", x, None, t)

    def flees(self, xs: list[Actor]) -> None:
        x = xs[0]
        self._begin_with(self.listed([y.person.zh for y in xs]))
        self.here = x.place
        self._end(f"跑进了{x.place.zh}。", x if len(xs) < 3 else None, xs[1] if len(xs) == 2 else None)

    def clears(self) -> None:
        self._begin_with("太阳", True)
        self._end("出来了。", None)

    def comes(self, beast: Beast) -> None:
        self._begin_with(beast.about.zh_a, True)
        self.here = beast.place
        self._end(f"{'来到了' if self.choose.pick(FIRST) else '跑到了'}{beast.place.zh}。", None)

    def pets(self, x: Actor, beast: Beast) -> None:
        self._begin(x, True)
        self._end(f"摸了摸{beast.about.noun.zh}。", x)

    def sounds(self, beast: Beast) -> None:
        self._begin_with(beast.about.noun.zh)
        self._end(f"{beast.animal.sound.zh}。", None)

    def beast_hungers(self, beast: Beast) -> None:
        self._begin_with(beast.about.noun.zh)
        self._end("饿了。", None)

    def feeds(self, x: Actor, t: Thing, beast: Beast) -> None:
        self._begin(x)
        self._end(f"把{self._the(t)}给了{beast.about.noun.zh}。", x)

    def beast_eats(self, beast: Beast) -> None:
        subject = self.subject
        self._begin_with(beast.about.noun.zh)
        self._end("吃掉了它。", subject)

    def befriends(self, beast: Beast, x: Actor) -> None:
        self._begin_with(beast.about.noun.zh)
        self._end(f"想和{self._whom(None, x)}在一起。", x)

    # The end

    def all_go_home(self, x: Actor, alone: bool) -> None:
        who = x.person.zh if alone else "大家都"
        self._begin_with(f"最后，{who}" if self.time is None else who)
        self._end("回家了。", None)

    def sleeps(self, x: Actor) -> None:
        self._begin_with(f"那天晚上，{x.person.zh}")
        self._end("睡得很香。", x)

    def is_happy_with(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        she = "她" if x.female else "他"
        self._end(f"很{self.choose.pick(HAPPY)}，因为{she}有{self.the_thing(t)}。", x, None, t)

    def is_grateful(self, y: Actor, x: Actor, t: Thing) -> None:
        self._begin(y)
        her = "她" if y.female else "他"
        reason = f"{x.person.zh}把{self.the_thing(t)}给了{her}"
        self._end(f"很{self.choose.pick(HAPPY)}，因为{reason}。", y, x, t)

    def are_friends(self, x: Actor, y: Actor) -> None:
        self._begin_with(f"{x.person.zh}和{y.person.zh}")
        self._end("是好朋友。", x, y)

    def good_day(self) -> None:
        self._begin_with("这是")
        self._end(f"{self.choose.pick(DAY)}的一天。", None)

    # Exercises

    def adds(self, first: int, second: int) -> None:
        self._equation(first, "加", second, first + second)

    def subtracts(self, first: int, second: int) -> None:
        self._equation(first, "减", second, first - second)

    def _equation(self, first: int, sign: str, second: int, result: int) -> None:
        self._begin_with(NUMBERS_ZH[first])
        self._end(f"{sign}{NUMBERS_ZH[second]}等于{NUMBERS_ZH[result]}。", None)

    def names(self, category: Category, number: int, members: Iterator[Phrase]) -> None:
        number_of = f"{'两' if number == 2 else NUMBERS_ZH[number]}{category.zh}："
        self._begin_with(number_of if self.choose.pick(FIRST) else f"这里有{number_of}")
        for left, member in zip(range(number - 1, -1, -1), members, strict=True):
            self.parts.append(member.zh + self._separator(left))
        self._end("。", None)
