"""An engine that says what a test wants and stops where it wants: no test hangs on what a model's weights happen to
say, nor on how far an engine's thread gets while others have no core."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.waiting import until

from danlu.generation.engine import Engine


def script(engine: Engine, patch: pytest.MonkeyPatch, text: str) -> list[int]:
    """Have the engine say a text and then end; its tokens, the last of which ends it."""
    tokens = [*engine.generator.tokenizer.encode(text).ids, engine.generator.stop_tokens[0]]
    patch.setattr(engine, "_draw", lambda rows, logits: [tokens[min(row.drawn, len(tokens) - 1)] for row in rows])
    return tokens


def hold(engine: Engine, patch: pytest.MonkeyPatch, tokens: int) -> None:
    """Have each continuation stop behind its first tokens, until somebody has taken it back or stops the engine."""
    draw = engine._draw

    def held(rows: Sequence[Any], logits: Any) -> list[int]:
        there = [row.ticket for row in rows if row.drawn == tokens]
        if there:
            until(lambda: engine._closing or any(ticket.cancelled for ticket in there))
        return draw(rows, logits)

    patch.setattr(engine, "_draw", held)


def hold_reading(engine: Engine, patch: pytest.MonkeyPatch, steps: int) -> None:
    """Have the engine stop behind so many steps, until the prompts that it is reading were taken back."""
    forward, taken = engine._slots.forward, 0

    def held(*arguments: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken > steps:
            until(lambda: engine._closing or all(reading.ticket.cancelled for reading in tuple(engine._reading)))
        return forward(*arguments)

    patch.setattr(engine._slots, "forward", held)
