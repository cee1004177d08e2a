"""Continuous batching: what joins, leaves, is cancelled or cached changes nothing for the others."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from tests.steering import hold
from tests.waiting import PATIENCE, until
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig
from danlu.generation.engine import Engine, EngineConfig, QueueFull
from danlu.generation.generate import Generator
from danlu.generation.prefix import BLOCK_TOKENS, PrefixCache
from danlu.generation.requests import Drawn, Event, Failed, Request
from danlu.generation.running import Row
from danlu.generation.slots import Slots, Staging, bytes_of_token
from danlu.model.transformer import Transformer

MakeModel = Callable[..., Transformer]
GREEDY = SamplingConfig(temperature=0, max_new_tokens=12)


@pytest.fixture(scope="module")
def generator(model: Transformer, tokenizer: Tokenizer) -> Generator:
    return Generator(model, tokenizer, stop=())


@pytest.fixture(scope="module")
def engine(generator: Generator) -> Iterator[Engine]:
    made = Engine(generator)
    yield made
    made.close()


class Listener:
    """Collects what a request gives."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.news = threading.Condition()

    def __call__(self, events: Sequence[Event]) -> None:
        with self.news:
            self.events += events
            self.news.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(condition, timeout=PATIENCE)

    @property
    def drawn(self) -> list[Drawn]:
        return [event for event in self.events if isinstance(event, Drawn)]

    @property
    def ended(self) -> bool:
        return any(event.finish is not None for event in self.drawn) or any(
            isinstance(event, Failed) for event in self.events
        )


def prompt(length: int, salt: int = 0) -> list[int]:
    return [(i * 7 + salt * 13) % 300 for i in range(length)]


def test_greedy_continuations_are_those_of_the_generator(engine: Engine, generator: Generator) -> None:
    for length in (1, 5, BLOCK_TOKENS, BLOCK_TOKENS + 1, 100):
        (expected,) = generator.generate([prompt(length)], GREEDY)
        (found,) = engine.complete(Request(prompt(length), GREEDY))
        assert (found.tokens, found.finish) == (expected.tokens, expected.finish_reason)
        assert expected.text in (found.text, found.text + "\ufffd")  # half a character at the cut is left out


def test_sampling_draws_from_the_streams_of_the_generator(engine: Engine, generator: Generator) -> None:
    sampling = SamplingConfig(temperature=1.0, top_p=0.9, max_new_tokens=20, seed=3)
    expected = generator.generate([prompt(9)] * 3, sampling)
    found = engine.complete(Request(prompt(9), sampling, n=3))
    assert [each.tokens for each in found] == [each.tokens for each in expected]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_continuation_does_not_depend_on_what_runs_beside_it(
    make_model: MakeModel, tokenizer: Tokenizer, dtype: torch.dtype
) -> None:
    generator = Generator(make_model(dtype), tokenizer, stop=())
    requests = [
        Request(
            prompt(3 + 11 * i % 90, i),
            SamplingConfig(
                temperature=(0.0, 0.7, 1.0)[i % 3], top_p=(1.0, 0.9)[i % 2], top_k=(0, 20)[i % 2],
                min_p=(0.0, 0.05)[i % 2],
                max_new_tokens=5 + i, seed=i,
            ),
            frequency_penalty=0.5 * (i % 4 == 3),
            repetition_penalty=1.2 if i % 5 == 4 else 1.0,
            logprobs=2,
            client=str(i % 3),
        )
        for i in range(14)
    ]  # fmt: skip
    alone_engine = Engine(generator, EngineConfig(prefix_bytes=0))
    alone = [alone_engine.complete(request) for request in requests]
    alone_engine.close()
    together_engine = Engine(generator, EngineConfig(max_rows=6, prefill_tokens=70))
    listeners = [Listener() for _ in requests]
    for request, listener in zip(requests, listeners, strict=True):
        together_engine.submit(request, listener)
    for request, listener, (expected,) in zip(requests, listeners, alone, strict=True):
        listener.wait(lambda listener=listener: listener.ended)  # type: ignore[misc]
        assert tuple(each.token for each in listener.drawn) == expected.tokens, request
        assert tuple(each.logprob for each in listener.drawn) == expected.logprobs
    assert together_engine.stats.finished == len(requests)
    together_engine.close()


def test_a_cached_beginning_changes_no_bit(engine: Engine) -> None:
    first = Request(prompt(BLOCK_TOKENS + 30, 5), GREEDY, logprobs=3)
    before = engine.complete(first)
    listener = Listener()
    ticket = engine.submit(first, listener)
    listener.wait(lambda: listener.ended)
    assert ticket.cached_tokens == BLOCK_TOKENS
    assert tuple(each.logprob for each in listener.drawn) == before[0].logprobs
    # The next turn of the conversation begins with what was said.
    longer = replace(first, prompt=[*first.prompt, *before[0].tokens, *prompt(40, 9)])
    again = engine.submit(longer, Listener())
    fresh = Engine(engine.generator, EngineConfig(prefix_bytes=0))
    assert engine.complete(longer) == fresh.complete(longer)
    assert again.cached_tokens >= BLOCK_TOKENS
    fresh.close()


def test_prompt_scores_are_the_models(engine: Engine, model: Transformer) -> None:
    tokens = prompt(BLOCK_TOKENS * 2 + 7, 3)
    listener = Listener()
    engine.submit(Request(tokens, max_new_tokens=0, prompt_logprobs=2), listener)
    listener.wait(lambda: listener.ended)
    scores = listener.events[0].scores  # type: ignore[union-attr]
    with torch.no_grad():
        expected = torch.log_softmax(model(torch.tensor([tokens]))[0], -1)
    assert scores[0] is None
    for place, score in enumerate(scores[1:], 1):
        assert score.token == tokens[place]
        assert score.logprob == pytest.approx(float(expected[place - 1, tokens[place]]), abs=1e-5)
        assert score.top[0][1] == pytest.approx(
            float(expected[place - 1, : len(engine.generator.table)].max()), abs=1e-5
        )
    assert [event.finish for event in listener.drawn] == ["length"]


def test_a_long_prompt_does_not_hold_up_a_running_row(generator: Generator) -> None:
    engine = Engine(generator, EngineConfig(prefill_tokens=BLOCK_TOKENS))
    listener, long = Listener(), Listener()
    engine.submit(Request(prompt(4), replace(GREEDY, max_new_tokens=100)), listener)
    listener.wait(lambda: len(listener.drawn) >= 3)
    seen: list[int] = []
    engine.submit(Request(prompt(150, 2), GREEDY), lambda events: (seen.append(len(listener.drawn)), long(events))[1])
    long.wait(lambda: long.ended)
    listener.wait(lambda: listener.ended)
    # Three pieces take three steps, in each of which the running row goes on.
    assert seen[0] >= 5
    engine.close()


def test_a_cancelled_request_frees_its_rows_and_others_take_them(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(generator, EngineConfig(max_rows=1))
    hold(engine, monkeypatch, 20)
    first, second, third = Listener(), Listener(), Listener()
    ticket = engine.submit(Request(prompt(4), replace(GREEDY, max_new_tokens=150)), first)
    waiting = engine.submit(Request(prompt(5), GREEDY), second)
    engine.submit(Request(prompt(6), GREEDY), third)
    first.wait(lambda: len(first.drawn) >= 2)
    waiting.cancel()
    ticket.cancel()
    third.wait(lambda: third.ended)
    assert len(first.drawn) <= 20
    assert not second.events
    assert (engine.stats.cancelled, engine.stats.finished, engine.stats.rows, engine.stats.waiting) == (2, 1, 0, 0)
    engine.close()


def test_requests_need_room_for_what_they_may_become_not_for_whole_contexts(generator: Generator) -> None:
    room = 2 * generator.decoder.config.max_position_embeddings  # tokens
    engine = Engine(generator, EngineConfig(cache_bytes=room * bytes_of_token(generator.decoder)))
    most = room // BLOCK_TOKENS  # each asks for less than a block
    listeners = [Listener() for _ in range(most + 3)]
    rows: list[int] = []

    def listen(listener: Listener) -> Callable[[Sequence[Event]], None]:
        def receive(events: Sequence[Event]) -> None:
            rows.append(engine.stats.rows)
            listener(events)

        return receive

    with engine._news:  # all are there before the first is read
        for number, listener in enumerate(listeners):
            request = Request(prompt(4, number), replace(GREEDY, max_new_tokens=30), client=str(number))
            engine.submit(request, listen(listener))
    for listener in listeners:
        listener.wait(lambda listener=listener: listener.ended)  # type: ignore[misc]
        assert len(listener.drawn) == 30
    assert 2 < most == max(rows)
    whole = Request(prompt(4), GREEDY, max_new_tokens=10**6, n=3)
    with pytest.raises(DanluError, match="Ask for 1 to 2"):
        engine.submit(whole, Listener())
    engine.close()


@pytest.mark.parametrize(("length", "together"), [(140, 4), (10, 10)])
def test_few_long_prompts_are_read_at_once_and_many_short_ones(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, length: int, together: int
) -> None:
    most = 0
    original = Slots.forward

    def forward(slots: Slots, *arguments: object) -> torch.Tensor:
        nonlocal most
        most = max(most, len(engine._reading))
        return original(slots, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Slots, "forward", forward)
    engine = Engine(generator, EngineConfig(prefix_bytes=0, prefill_tokens=64, staged_tokens=100))
    listeners = [Listener() for _ in range(12)]
    requests = [Request(prompt(length, salt), GREEDY) for salt in range(12)]
    with engine._news:  # all are there before the first is read
        for request, listener in zip(requests, listeners, strict=True):
            engine.submit(request, listener)
    for listener in listeners:
        listener.wait(lambda listener=listener: listener.ended)
    engine.close()
    assert most == together
    expected = generator.generate([list(request.prompt) for request in requests], GREEDY)
    assert [tuple(each.token for each in listener.drawn) for listener in listeners] == [e.tokens for e in expected]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pages that were given back may keep what they held")
def test_a_cleared_slot_gives_its_pages_back_and_touches_no_other(generator: Generator) -> None:
    slots = Slots(generator.decoder, 3)
    staging = Staging(generator.decoder, prompt(generator.decoder.config.max_position_embeddings))
    staging.keys.fill_(1.0)
    staging.values.fill_(2.0)
    for slot in range(3):
        slots.put(slot, staging)
    slots.clear(1)
    for layer in (*slots._keys, *slots._values):
        assert layer[[0, 2]].all()
        assert (layer[1] == 0).float().mean() > 0.7  # all but pages that it shares with its neighbours


def test_clients_are_served_in_turn(generator: Generator) -> None:
    engine = Engine(generator, EngineConfig(max_rows=1))
    order: list[str] = []

    def listen(name: str) -> Callable[[Sequence[Event]], None]:
        def receive(events: Sequence[Event]) -> None:
            order.extend(name for event in events if isinstance(event, Drawn) and event.finish)

        return receive

    short = replace(GREEDY, max_new_tokens=1)
    with engine._news:  # all are there before the first is read
        engine.submit(Request(prompt(2), replace(GREEDY, max_new_tokens=60), client="greedy"), Listener())
        for number in range(5):
            engine.submit(Request(prompt(3, number), short, client="greedy"), listen("greedy"))
        engine.submit(Request(prompt(3), short, client="modest"), listen("modest"))
    until(lambda: len(order) == 6)
    assert order.index("modest") <= 1
    engine.close()


def test_the_queue_is_bounded_and_a_stopped_engine_says_so(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(generator, EngineConfig(max_rows=1, queue_length=2))
    hold(engine, monkeypatch, 3)
    running, waiting = Listener(), Listener()
    request = Request(prompt(2), replace(GREEDY, max_new_tokens=150))
    engine.submit(request, running)
    engine.submit(request, waiting)
    with pytest.raises(QueueFull):
        engine.submit(request, Listener())
    engine.close()
    assert isinstance(running.events[-1], Failed)
    assert isinstance(waiting.events[-1], Failed)
    with pytest.raises(DanluError, match="stopped"):
        engine.submit(request, Listener())


def test_a_failure_is_told_and_the_next_request_goes_well(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(generator)
    listener, draw = Listener(), engine._draw

    def broken(rows: list[Row], logits: torch.Tensor) -> list[int]:
        if rows[0].drawn == 2:
            raise RuntimeError("device lost")
        return draw(rows, logits)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_draw", broken)
        engine.submit(Request(prompt(3), replace(GREEDY, max_new_tokens=150)), listener)
        listener.wait(lambda: listener.ended)
    assert len(listener.drawn) == 2
    assert listener.events[-1] == Failed("RuntimeError: device lost")
    assert len(engine.complete(Request(prompt(3), GREEDY))[0].tokens) == 12
    engine.close()


def test_text_is_whole_characters_up_to_the_stop_text(engine: Engine, tokenizer: Tokenizer) -> None:
    first_byte = engine.generator.table.index(b"\xf0")
    (found,) = engine.complete(Request([1], replace(GREEDY, max_new_tokens=3), logit_bias={first_byte: 100.0}))
    assert (found.tokens, found.text) == ((first_byte,) * 3, "\ufffd\ufffd")  # the third may yet become a character
    letter = tokenizer.encode("a").ids[0]
    stop = replace(GREEDY, max_new_tokens=5, stop=("aaa",))
    (stopped,) = engine.complete(Request([letter], stop, logit_bias={letter: 100.0}))
    assert (stopped.text, stopped.tokens, stopped.finish) == ("", (letter,) * 3, "stop")


def test_penalties_and_biases(engine: Engine, tokenizer: Tokenizer) -> None:
    letter = tokenizer.encode("a").ids[0]
    free = engine.complete(Request([letter], GREEDY, logit_bias={letter: 30.0}))[0]
    assert set(free.tokens) == {letter}
    for penalty in ({"presence_penalty": 2.0}, {"frequency_penalty": 2.0}, {"repetition_penalty": 50.0}):
        held = engine.complete(Request([letter], GREEDY, logit_bias={letter: 1.5}, **penalty))[0]  # type: ignore[arg-type]
        loose = engine.complete(Request([letter], GREEDY, logit_bias={letter: 1.5}))[0]
        assert held.tokens.count(letter) <= loose.tokens.count(letter)


def test_wrong_requests_are_refused_before_they_wait(engine: Engine) -> None:
    for request, words in (
        (Request([]), "no tokens"),
        (Request(prompt(160)), "context is 160"),
        (Request([999]), "token 999"),
        (Request([1], n=0), "n is 0"),
        (Request([1], logprobs=99), "logprobs is 99"),
        (Request([1], logit_bias={999: 1.0}), "logit_bias"),
    ):
        with pytest.raises(DanluError, match=words):
            engine.submit(request, Listener())


def test_the_context_ends_a_continuation(engine: Engine) -> None:
    (found,) = engine.complete(Request(prompt(150), replace(GREEDY, max_new_tokens=100)))
    assert (len(found.tokens), found.finish) == (10, "length")


def test_remembered_beginnings_give_way_to_answers_under_way(generator: Generator) -> None:
    block = BLOCK_TOKENS * bytes_of_token(generator.decoder)
    engine = Engine(generator, EngineConfig(prefix_bytes=8 * block))

    def ask(length: int, n: int) -> int:
        """How many blocks are remembered after that; each answer needs room for two."""
        for salt in range(10):
            engine.complete(Request(prompt(length, salt), GREEDY, n=n))
        return engine._prefixes.num_bytes // block

    assert ask(BLOCK_TOKENS + 1, 1) == 6
    assert ask(BLOCK_TOKENS + 2, 3) == 4  # not below half
    assert ask(BLOCK_TOKENS + 1, 1) == 6
    engine.close()


def test_the_prefix_cache_drops_the_oldest() -> None:
    block = torch.zeros(1, 1, BLOCK_TOKENS, 2)
    size = 2 * block.numel() * 4
    cache = PrefixCache(2 * size)
    for salt in range(3):
        cache.keep(prompt(BLOCK_TOKENS, salt), block, block)
    assert cache.num_bytes == 2 * size
    assert not cache.find(prompt(BLOCK_TOKENS + 1, 0))
    assert len(cache.find(prompt(BLOCK_TOKENS + 1, 2))) == 1
    assert not cache.find(prompt(BLOCK_TOKENS, 2))  # one token must be left to read
