"""Figures for Prometheus: requests by path and status, tokens, time to the first token, what the engines do now."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from danlu.web.served import ServedModel

_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Upper edges of the histogram of times to the first token (seconds)."""


@dataclass
class Counts:
    """Counted in the server's thread alone."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    waits: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    waited_seconds: float = 0.0
    completed: int = 0
    tokens: int = 0

    def answered(self, path: str, status: int) -> None:
        """A request has its answer, or the beginning of a streamed one."""
        self.requests[path, status] += 1

    def first_token(self, seconds: float) -> None:
        """A request has its first token."""
        self.waited_seconds += seconds
        self.waits[sum(seconds > bound for bound in _BOUNDS)] += 1

    def finished(self, tokens: int) -> None:
        """A generation went out whole."""
        self.completed += 1
        self.tokens += tokens


def metrics_text(counts: Counts, models: Iterable[ServedModel]) -> str:
    """The text of /metrics."""
    return "".join(f"{line}\n" for line in _lines(counts, models))


def _lines(counts: Counts, models: Iterable[ServedModel]) -> Iterator[str]:
    yield "# TYPE danlu_requests_total counter"
    for (path, status), number in sorted(counts.requests.items()):
        yield f'danlu_requests_total{{path="{path}",status="{status}"}} {number}'
    yield "# TYPE danlu_completed_total counter"
    yield f"danlu_completed_total {counts.completed}"
    yield "# TYPE danlu_time_to_first_token_seconds histogram"
    below = 0
    for bound, number in zip((*_BOUNDS, "+Inf"), counts.waits, strict=True):
        below += number
        yield f'danlu_time_to_first_token_seconds_bucket{{le="{bound}"}} {below}'
    yield f"danlu_time_to_first_token_seconds_sum {counts.waited_seconds:.6f}"
    yield f"danlu_time_to_first_token_seconds_count {below}"
    ready = [model for model in models if model.state == "ready"]
    for name, kind in _ENGINE.items():
        yield f"# TYPE danlu_{name} {kind}"
        for model in ready:
            value = getattr(model.loaded.result().engine.stats, name.removesuffix("_total"))
            yield f'danlu_{name}{{model="{_escaped(model.name)}"}} {value}'


_ENGINE = {
    "prompt_tokens_total": "counter",
    "cached_tokens_total": "counter",
    "new_tokens_total": "counter",
    "finished_total": "counter",
    "cancelled_total": "counter",
    "failed_total": "counter",
    "steps_total": "counter",
    "waiting": "gauge",
    "reading": "gauge",
    "rows": "gauge",
}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
