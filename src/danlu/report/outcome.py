"""What the forecast said and what was measured: the numbers that the page, the picture and the terminal all show."""

from dataclasses import dataclass

from danlu.report import figures
from danlu.report.language import NOTHING_TO_SAY, Text, tr
from danlu.report.reading import Record, RunFiles


@dataclass(frozen=True)
class Quantity:
    """One quantity of the forecast beside its measured value; None where not known (yet)."""

    forecast: float | None
    low: float | None
    high: float | None
    """Ends of the forecast's interval."""
    measured: float | None

    @property
    def relative_error(self) -> float | None:
        """Signed: measured / forecast - 1."""
        if self.measured is None or not self.forecast:
            return None
        return self.measured / self.forecast - 1

    @property
    def inside(self) -> bool | None:
        """Whether the measured value lies in the interval."""
        if self.measured is None or self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high

    def __bool__(self) -> bool:
        return self.forecast is not None or self.measured is not None


@dataclass(frozen=True)
class Outcome:
    """The forecast and the verdict of a run."""

    loss: Quantity
    """Held-out loss (nats a token)."""
    bits_per_byte: Quantity
    seconds: Quantity
    """Training time of the target."""
    memory: Quantity
    """Most memory held at once (bytes)."""
    level: float
    """Probability that the interval is meant to hold the measured value."""

    @property
    def sentence(self) -> Text:
        """The outcome in one sentence, as far as the run has come."""
        if self.loss.forecast is None:
            return tr("outcome.none")
        values: dict[str, Text | str] = {
            "loss": figures.loss(self.loss.forecast, 3),
            "interval": figures.interval(self.loss.low, self.loss.high, 3),
            "level": figures.percent(self.level, 0),
        }
        if self.loss.measured is None:
            return tr("outcome.forecast", **values)
        return tr(
            "outcome.measured",
            measured=figures.loss(self.loss.measured, 3),
            error=figures.signed_percent(self.loss.relative_error),
            inside=inside_words(self.loss),
            **values,
        )


def named_quantities(outcome: Outcome) -> list[tuple[str, Quantity]]:
    """The quantities of which anything is known, by name, in the order in which they are shown."""
    every = {
        "loss": outcome.loss,
        "bits_per_byte": outcome.bits_per_byte,
        "seconds": outcome.seconds,
        "memory": outcome.memory,
    }
    return [(name, quantity) for name, quantity in every.items() if quantity]


def inside_words(quantity: Quantity) -> Text:
    """Whether the measured value lies in the interval, in words; empty where nothing is known."""
    if quantity.inside is None or quantity.measured is None or quantity.low is None:
        return NOTHING_TO_SAY
    if quantity.inside:
        return tr("inside.yes")
    return tr("inside.below") if quantity.measured < quantity.low else tr("inside.above")


def outcome(files: RunFiles) -> Outcome:
    """Collect the outcome from forecast.json, verdict.json and, until there is a verdict, result.json."""
    forecast, verdict, result = files.forecast, files.verdict, files.result

    def quantity(name: str, measured: float | None) -> Quantity:
        return Quantity(
            forecast=forecast.number(name),
            low=forecast.number(f"{name}_low"),
            high=forecast.number(f"{name}_high"),
            measured=measured,
        )

    def measured(verdict_name: str, result_name: str, found: Record = result) -> float | None:
        judged = verdict.number(verdict_name)
        return found.number(result_name) if judged is None else judged

    return Outcome(
        loss=Quantity(
            forecast=_first(forecast.number("loss"), verdict.number("loss")),
            low=_first(forecast.number("low"), verdict.number("low")),
            high=_first(forecast.number("high"), verdict.number("high")),
            measured=verdict.number("measured"),
        ),
        bits_per_byte=quantity("bits_per_byte", measured("measured_bits_per_byte", "bits_per_byte", files.evaluation)),
        seconds=quantity("seconds", measured("measured_seconds", "seconds")),
        memory=quantity("memory_bytes", measured("measured_memory_bytes", "peak_memory_bytes")),
        level=_first(forecast.number("level"), 0.9) or 0.9,
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def toy_words(files: RunFiles) -> Text | None:
    """`toy language, seed 0` where the corpus is the toy's; None where it is not."""
    corpus = files.recipe.record("corpus")
    sources = {name for name, _ in files.corpus.items("train")} | set(corpus.texts("data"))
    if "toy" not in sources:
        return None
    seed = corpus.number("toy", "seed")
    return tr("toy", seed="?" if seed is None else f"{seed:.0f}")


def warnings(files: RunFiles) -> tuple[Text, ...]:
    """What the plan and the forecast want their reader to know, each once."""
    return tuple(dict.fromkeys((*files.plan.remarks("warnings"), *files.forecast.remarks("warnings"))))
