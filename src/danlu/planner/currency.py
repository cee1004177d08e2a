"""Money in the currency that a person thinks in, at the rate that they give: one built in would be old."""

import re
from dataclasses import dataclass

from danlu.common.cells import SCALES
from danlu.common.duration import format_count
from danlu.common.errors import DanluError

_NAMES = {
    "USD": ("usd", "us$", "$", "us dollars", "us dollar", "dollars", "dollar", "美元", "美金"),
    "CNY": ("cny", "rmb", "cn¥", "yuan", "renminbi", "人民币元", "人民币", "元"),
    "EUR": ("eur", "€", "euros", "euro", "欧元"),
    "GBP": ("gbp", "£", "pounds", "pound", "英镑"),
    "JPY": ("jpy", "jp¥", "yen", "円", "日元", "日圆"),
    "HKD": ("hkd", "hk$", "港元", "港币"),
    "TWD": ("twd", "nt$", "新台币", "台币"),
    "KRW": ("krw", "₩", "won", "韩元"),
    "INR": ("inr", "₹", "rupees", "rupee"),
    "CHF": ("chf",),
    "CAD": ("cad", "ca$", "c$"),
    "AUD": ("aud", "au$", "a$"),
    "SGD": ("sgd", "s$"),
}
_CHINESE = {
    "USD": "美元",
    "CNY": "元人民币",
    "EUR": "欧元",
    "GBP": "英镑",
    "JPY": "日元",
    "HKD": "港元",
    "TWD": "新台币",
}
_YEN_SIGNS = ("¥", "￥")
"""Of the yuan as of the yen."""
_AMOUNT = r"(?P<number>\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)"
_SCALE = "|".join(sorted(map(re.escape, {*SCALES, "mn", "mio"} - {"兆", "g"}), key=len, reverse=True))
_PER_DOLLAR = re.compile(r"\s*(?:/|per|a|=\s*1)\s*(?:usd|us\$|\$|us dollar|dollar|美元)\s*$", re.IGNORECASE)
_WORDS = {word: code for code, words in _NAMES.items() for word in words}
_MONEY = tuple(
    re.compile(rf"(?P<before>[^\d.\s]+?)?\s*{_AMOUNT}\s*(?P<scale>{scale})\s*(?P<after>[^\d.\s][^\d]*)?", re.IGNORECASE)
    for scale in ("", _SCALE)
)
"""An amount without and with a scale, for `18 MXN` are no millions."""


@dataclass(frozen=True)
class Currency:
    """What money is shown in, beside or in place of US dollars."""

    code: str
    """ISO 4217: CNY."""
    per_usd: float
    """How many of it one US dollar costs."""

    def of(self, usd: float) -> float:
        """An amount of US dollars in this currency."""
        return usd * self.per_usd

    def usd(self, amount: float) -> float:
        """An amount of this currency in US dollars."""
        return amount / self.per_usd

    def show(self, usd: float) -> str:
        """US dollars in this currency for a person: `4.6M USD`, `17.3k CNY`, `2.45 EUR`."""
        return f"{self.number(usd)} {self.code}"

    def number(self, usd: float) -> str:
        """The same without the currency's name."""
        amount = self.of(usd)
        return f"{amount:.2f}" if amount < 1000 else format_count(amount)

    @property
    def chinese(self) -> str:
        """Its name behind an amount."""
        return _CHINESE.get(self.code, self.code)


USD = Currency("USD", 1.0)


def parse_exchange(text: str) -> Currency:
    """Read a rate: `7.1CNY`, `7.1 yuan`, `1 USD = 7.1 CNY`, `1 EUR = 1.09 USD`, `7.1 CNY per USD`.

    Raises:
        DanluError: it names no currency, or no rate.
    """
    words = _PER_DOLLAR.sub("", text.strip())
    sides = [side.strip() for side in re.split(r"=|兑", words)]
    found = [_rate(side) for side in sides]
    if len(found) == 1 and found[0] and found[0][0] not in ("USD", "¥"):
        return Currency(*found[0])
    if len(found) == 2 and found[0] and found[1]:
        by_code = dict(pair for pair in found if pair)
        dollars = by_code.pop("USD", None)
        if dollars and len(by_code) == 1 and "¥" not in by_code:
            ((code, amount),) = by_code.items()
            return Currency(code, amount / dollars)
    raise DanluError(
        f"the exchange rate '{text}' is none.",
        "Say how many of your currency one US dollar costs: --exchange 7.1CNY, where it costs 7.1 yuan.",
    )


def _rate(side: str) -> tuple[str, float] | None:
    read = _read(side)
    return (read[1], read[0]) if read and read[0] > 0 else None


def parse_money(text: str, currency: Currency) -> tuple[float, Currency] | None:
    """An amount of money in US dollars, and the currency that it was named in; None where the text is none.

    Args:
        text: `4.6Musd`, `$2M`, `30万元`, `4.6M CNY`; digits without commas.
        currency: what the person gave a rate for; US dollars without one.

    Raises:
        DanluError: it is in a currency whose rate is not known.
    """
    read = _read(text, currency.code)
    if read is None:
        return None
    amount, code = read
    if code == "USD":
        return amount, USD
    if code == currency.code:
        return currency.usd(amount), currency
    if code == "¥":
        raise DanluError(
            f"'{text}' may be yuan or yen.", "Say how many of them one US dollar costs: --exchange 7.1CNY, or in JPY."
        )
    other = f"; --exchange gives {currency.code}" if currency != USD else ""
    raise DanluError(
        f"'{text}' is in {code}, and what a US dollar costs in it is not known here{other}.",
        f"Give the rate that you reckon with: --exchange N{code}, N being how many {code} one US dollar costs.",
    )


def _read(text: str, known: str = "") -> tuple[float, str] | None:
    """Amount and currency, `¥` where it may be two; None where no currency, or more than one, is named.

    Args:
        known: the currency that has a rate.
    """
    for form in _MONEY:
        found = form.fullmatch(text.strip())
        codes = {_code(word, known) for word in (found["before"], found["after"]) if word} if found else set()
        if found and len(codes) == 1 and None not in codes:
            (code,) = codes
            assert code
            scale = found["scale"].lower()
            return float(found["number"]) * {"mn": 1e6, "mio": 1e6}.get(scale, SCALES.get(scale, 1.0)), code
    return None


def _code(word: str, known: str) -> str | None:
    name = word.strip().lower()
    if name in _YEN_SIGNS:
        return known if known in ("CNY", "JPY") else "¥"
    if name in _WORDS:
        return _WORDS[name]
    return name.upper() if re.fullmatch(r"[a-z]{3}", name) and (not known or name.upper() == known) else None
