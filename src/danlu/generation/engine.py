"""Continuous batching: requests join and leave a running batch at every step, in a thread that owns the model.

Each step is one pass through the model for all rows that decode and for some pieces of waiting prompts, so that a long
prompt delays nobody by more than its pieces. Clients are served in turn. A continuation depends on its request alone,
exactly so on a processor: neither on what runs beside it nor on what is in the prefix cache.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from danlu.common.errors import DanluError
from danlu.generation.batch import FinishReason
from danlu.generation.generate import Generator
from danlu.generation.prefix import BLOCK_TOKENS, PrefixCache
from danlu.generation.requests import (
    Continuation,
    Drawn,
    Event,
    Failed,
    PromptScores,
    Receive,
    Request,
    TokenLogprob,
    check,
)
from danlu.generation.running import Reading, Row, Stats, Ticket
from danlu.generation.sampling import RowStreams, choose, token_words
from danlu.generation.slots import Piece, Slots, Staging, bytes_of_token

# On a processor a slot costs only what a row writes into it, so there may be more slots than whole contexts fit.
_SLOTS_TO_CONTEXTS = 8
_READ_AT_ONCE = 4


@dataclass(frozen=True)
class EngineConfig:
    """How much an engine may take."""

    cache_bytes: int = 1 << 30
    """For the key-value caches of the rows that decode; on a processor taken as it is filled, and given back."""
    prefix_bytes: int = 64 << 20
    """For the beginnings of recent prompts; they give way to the answers under way, down to half of it."""
    max_rows: int = 256
    """Most continuations that decode together."""
    prefill_tokens: int = 256
    """About how many tokens of prompts are read in a step."""
    staged_tokens: int = 1024
    """Of how many tokens the prompts that are being read may be together; four are read at once however long they are.
    The others wait, for their keys and values would stand in memory half read."""
    queue_length: int = 1024
    """Most requests that wait or run."""


class QueueFull(DanluError):
    """Too many requests wait."""


class Engine:
    """A model in a thread of its own.

    Args:
        generator: the model with its tokenizer; nobody else may use it meanwhile.
    """

    def __init__(self, generator: Generator, config: EngineConfig | None = None) -> None:
        self.config = config or EngineConfig()
        self.generator = generator
        self.stats = Stats()
        self._decoder = generator.decoder
        self._table = generator.table
        self.context = self._decoder.config.max_position_embeddings
        self.room = max(self.context, self.config.cache_bytes // bytes_of_token(self._decoder))
        """Tokens that the continuations under way may need in all, with their prompts."""
        contexts = self.room // self.context
        slots = contexts * (_SLOTS_TO_CONTEXTS if self._decoder.device.type == "cpu" else 1)
        self._slots = Slots(self._decoder, min(self.config.max_rows, slots))
        self._prefixes = PrefixCache(self.config.prefix_bytes)
        self._words = token_words(len(self._table), self._decoder.device)
        self._ends = frozenset(generator.stop_tokens)
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._reading: deque[Reading] = deque()
        self._rows: list[Row] = []
        self._open = 0
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # What other threads call

    def submit(self, request: Request, receive: Receive) -> Ticket:
        """Have a prompt continued.

        Args:
            receive: is called in the engine's thread with what there is after each step; must be quick.

        Raises:
            QueueFull: too many wait already.
            DanluError: the request cannot be served.
        """
        most = min(self._slots.count, self.room // self._need(request))
        check(request, len(self._table), self.context, most)
        ticket = Ticket(request, receive, self.wake)
        with self._news:
            if self._closing:
                raise DanluError("the engine has stopped.", "Start it again.")
            if self._open >= self.config.queue_length:
                raise QueueFull(f"{self._open} requests are waiting already.", "Try again in a moment.")
            self._open += 1
            self._waiting.setdefault(request.client, deque()).append(ticket)
            self.stats.waiting += 1
            self._news.notify()
        return ticket

    def complete(self, request: Request) -> list[Continuation]:
        """Continue a prompt and wait for it.

        Raises:
            DanluError: the request cannot be served, or the engine failed.
        """
        events: list[Event] = []
        done, ended = threading.Event(), 0

        def receive(some: Sequence[Event]) -> None:
            nonlocal ended
            events.extend(some)
            ended += sum(isinstance(event, Drawn) and event.finish is not None for event in some)
            if ended == request.n or any(isinstance(event, Failed) for event in some):
                done.set()

        self.submit(request, receive)
        done.wait()
        for event in events:
            if isinstance(event, Failed):
                raise DanluError(f"the engine failed: {event.reason}.", "Look at the server's log.")
        return [_continuation(events, index) for index in range(request.n)]

    def wake(self) -> None:
        """Have the thread look for news."""
        with self._news:
            self._news.notify()

    def close(self) -> None:
        """Stop; what has not ended fails."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()

    # The thread

    def _run(self) -> None:
        with torch.inference_mode():
            while True:
                with self._news:
                    while not (self._closing or self._waiting or self._reading or self._rows):
                        self._news.wait()
                    if self._closing:
                        break
                    self._drop_cancelled()
                    self._admit()
                if not (self._reading or self._rows):
                    continue
                try:
                    self._step()
                except Exception as error:  # noqa: BLE001 (whoever waits is told; the next request may go well)
                    self._fail_all(f"{type(error).__name__}: {error}")
        self._fail_all("the server is stopping")

    def _drop_cancelled(self) -> None:
        for client, tickets in list(self._waiting.items()):
            kept = deque(ticket for ticket in tickets if not ticket.cancelled)
            gone = len(tickets) - len(kept)
            if gone:
                self.stats.waiting -= gone
                self.stats.cancelled += gone
                self._open -= gone
                self._waiting[client] = kept
            if not kept:
                del self._waiting[client]
        for reading in [each for each in self._reading if each.ticket.cancelled]:
            self._reading.remove(reading)
            self.stats.cancelled += 1
            self._open -= 1
        self.stats.reading = len(self._reading)
        dropped = [row for row in self._rows if row.ticket.cancelled]
        if dropped:
            gone = len({id(row.ticket) for row in dropped})
            self._remove(dropped)
            self.stats.cancelled += gone
            self._open -= gone

    def _admit(self) -> None:
        """Begin to read prompts for which there will be rows, a client at a time."""
        rows = len(self._rows) + sum(reading.ticket.request.n for reading in self._reading)
        used = self._held_tokens()
        staged = sum(len(reading.staging.tokens) for reading in self._reading)
        # The client whose turn it is waits until there is room for its request: nobody is overtaken for ever.
        while self._waiting:
            client, tickets = next(iter(self._waiting.items()))
            ticket = tickets[0]
            need = ticket.request.n * self._need(ticket.request)
            if rows + ticket.request.n > self._slots.count or used + need > self.room:
                return
            staged += len(ticket.request.prompt)
            if len(self._reading) >= _READ_AT_ONCE and staged > self.config.staged_tokens:
                return
            tickets.popleft()
            self._waiting.move_to_end(client)
            if not tickets:
                del self._waiting[client]
            self.stats.waiting -= 1
            rows, used = rows + ticket.request.n, used + need
            scored = ticket.request.prompt_logprobs is not None
            known = [] if scored else self._prefixes.find(ticket.request.prompt)
            ticket.cached_tokens = len(known) * BLOCK_TOKENS
            self.stats.cached_tokens += ticket.cached_tokens
            self.stats.prompt_tokens += len(ticket.request.prompt)
            self._reading.append(Reading(ticket, Staging(self._decoder, ticket.request.prompt, known)))

    def _need(self, request: Request) -> int:
        """Tokens for which a continuation needs room, in whole blocks: memory is taken by the page."""
        tokens = -(-max(1, len(request.prompt) + request.limit) // BLOCK_TOKENS) * BLOCK_TOKENS
        return min(self.context, tokens)

    def _held_tokens(self) -> int:
        """For how many tokens the answers under way need room."""
        tokens = sum(self._need(row.ticket.request) for row in self._rows)
        return tokens + sum(each.ticket.request.n * self._need(each.ticket.request) for each in self._reading)

    def _step(self) -> None:
        pieces = self._next_pieces()
        rows = len(self._rows)
        hidden = self._slots.forward(
            [row.token for row in self._rows], [row.position for row in self._rows], [piece for _, piece in pieces]
        )
        for row in self._rows:
            row.position += 1
        events: dict[int, tuple[Ticket, list[Event]]] = {}
        sampled, last = list(self._rows), list(range(rows))
        read: list[Reading] = []
        at = rows
        for reading, piece in pieces:
            end = at + piece.end - piece.start
            self._score(reading, piece, hidden[at:end])
            at = end
            if piece.end == len(reading.staging.tokens):
                read.append(reading)
                new = self._finish_reading(reading, events)
                sampled += new
                last += [end - 1] * len(new)
        if sampled:
            self._sample(sampled, self._decoder.logits(hidden[last]), events)
        ended = [row for row in sampled if row.token < 0]
        self._remove([row for row in ended if row in self._rows[:rows]])
        for reading in read:
            self._reading.remove(reading)
            for row in sampled[rows:]:
                if row.ticket is reading.ticket and row.token >= 0:
                    self._slots.put(len(self._rows), reading.staging)
                    self._rows.append(row)
        self.stats.steps += 1
        self.stats.rows, self.stats.reading = len(self._rows), len(self._reading)
        self._deliver(events)

    def _next_pieces(self) -> list[tuple[Reading, Piece]]:
        """Some pieces of the prompts that are being read, from each in turn; a prompt's pieces in their order."""
        pieces: list[tuple[Reading, Piece]] = []
        budget = self.config.prefill_tokens
        while budget > 0 and any(reading.staging.left for reading in self._reading):
            for reading in list(self._reading):
                if budget > 0 and reading.staging.left:
                    piece = reading.staging.next_piece()
                    budget -= piece.end - piece.start
                    pieces.append((reading, piece))
        if len(self._reading) > 1:
            self._reading.rotate(-1)
        return pieces

    def _score(self, reading: Reading, piece: Piece, hidden: Tensor) -> None:
        """Score the tokens that follow a piece's, where the request asks for it."""
        top = reading.ticket.request.prompt_logprobs
        if top is None:
            return
        targets = reading.staging.tokens[piece.start + 1 : piece.end + 1]
        if targets:
            reading.scores += self._scores(self._decoder.logits(hidden[: len(targets)]), targets, top)

    def _finish_reading(self, reading: Reading, events: dict[int, tuple[Ticket, list[Event]]]) -> list[Row]:
        """The rows that go on from a prompt that has been read."""
        ticket, staging = reading.ticket, reading.staging
        request = ticket.request
        held = self._held_tokens() * bytes_of_token(self._decoder)
        self._prefixes.limit(max(self.config.prefix_bytes // 2, self.config.prefix_bytes - held))
        self._prefixes.keep(staging.tokens, staging.keys, staging.values)
        found = events.setdefault(id(ticket), (ticket, []))[1]
        if request.prompt_logprobs is not None:
            found.append(PromptScores(tuple(reading.scores)))
        if request.limit == 0:
            found += [Drawn(index, None, "", None, "length") for index in range(request.n)]
            self._settle()
            return []
        return [Row(ticket, index, self._table, len(staging.tokens)) for index in range(request.n)]

    def _sample(self, rows: list[Row], logits: Tensor, events: dict[int, tuple[Ticket, list[Event]]]) -> None:
        """Draw a token for each row; one that ends has token -1 afterwards."""
        possible = logits[:, : len(self._table)]  # rows of the embedding that pad it stand for no token
        tokens = [0] * len(rows)
        groups: dict[tuple[float, int, float, float, bool], list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(row.key, []).append(place)
        for places in groups.values():
            some = [rows[place] for place in places]
            drawn = self._draw(some, possible if len(groups) == 1 else possible[places])
            for place, token in zip(places, drawn, strict=True):
                tokens[place] = token
        scores = self._score_drawn(rows, logits, tokens)
        for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            found = events.setdefault(id(row.ticket), (row.ticket, []))[1]
            found.append(self._advance(row, token, scores.get(place)))
        self.stats.new_tokens += len(rows)

    def _draw(self, rows: list[Row], logits: Tensor) -> list[int]:
        if rows[0].key[-1]:
            logits = torch.stack([self._adjusted(row, each) for row, each in zip(rows, logits.float(), strict=True)])
        device = logits.device
        streams = torch.tensor([row.stream for row in rows], device=device)
        steps = torch.tensor([row.drawn for row in rows], device=device)
        noise = RowStreams(streams, steps, self._words)
        drawn: list[int] = choose(logits, noise, 0, rows[0].ticket.request.sampling, fuse=self._decoder.fuses)[
            0
        ].tolist()
        return drawn

    def _adjusted(self, row: Row, logits: Tensor) -> Tensor:
        """A row's logits (V,) with its penalties and biases."""
        request = row.ticket.request
        if row.counts is None or row.seen is None:
            row.counts = torch.zeros_like(logits)
            row.seen = torch.zeros_like(logits, dtype=torch.bool)
            row.seen[list(request.prompt)] = True
        if request.repetition_penalty != 1:
            harder = torch.where(logits > 0, logits / request.repetition_penalty, logits * request.repetition_penalty)
            logits = torch.where(row.seen, harder, logits)
        logits = logits - request.frequency_penalty * row.counts - request.presence_penalty * (row.counts > 0)
        for token, bias in request.logit_bias.items():
            logits[token] += bias
        return logits

    def _score_drawn(self, rows: list[Row], logits: Tensor, tokens: list[int]) -> dict[int, TokenLogprob]:
        asked = [place for place, row in enumerate(rows) if row.ticket.request.logprobs is not None]
        if not asked:
            return {}
        top = max(rows[place].ticket.request.logprobs or 0 for place in asked)
        scores = self._scores(logits[asked], [tokens[place] for place in asked], top)
        found = {}
        for place, score in zip(asked, scores, strict=True):
            most = rows[place].ticket.request.logprobs or 0
            found[place] = TokenLogprob(score.token, score.logprob, score.top[:most])
        return found

    def _scores(self, logits: Tensor, targets: Sequence[int], top: int) -> list[TokenLogprob]:
        """Scores of one target a row, with the likeliest tokens; both from the same numbers (N, V)."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)[:, : len(self._table)]
        own = logprobs.gather(1, torch.tensor(targets, device=logits.device)[:, None])[:, 0].tolist()
        if not top:
            return [TokenLogprob(token, score, ()) for token, score in zip(targets, own, strict=True)]
        values, ids = (part.tolist() for part in logprobs.topk(min(top, logprobs.shape[1])))
        best = [tuple(zip(*row, strict=True)) for row in zip(ids, values, strict=True)]
        return [TokenLogprob(token, score, few) for token, score, few in zip(targets, own, best, strict=True)]

    def _advance(self, row: Row, token: int, score: TokenLogprob | None) -> Drawn:
        """Add a token to a row; if that ends it, its `token` becomes -1."""
        request = row.ticket.request
        row.drawn += 1
        row.token = token
        if row.counts is not None and row.seen is not None:
            row.counts[token] += 1
            row.seen[token] = True
        finish: FinishReason | None = None
        if token in self._ends and not request.ignore_end:
            text, finish = row.text.finish(), "stop"
        else:
            text, stopped = row.text.add(token)
            if stopped:
                finish = "stop"
            elif row.drawn >= request.limit or row.position + 1 >= self.context:
                text, finish = text + row.text.finish(cut=True), "length"
        if finish is not None:
            row.token = -1
        return Drawn(row.index, token, text, score, finish)

    def _remove(self, rows: Sequence[Row]) -> None:
        """Take rows out of the batch; the last ones move into their slots."""
        for row in rows:
            place = self._rows.index(row)
            last = self._rows.pop()
            if last is not row:
                self._slots.move(len(self._rows), place, last.position)
                self._rows[place] = last
            self._slots.clear(len(self._rows))
        self.stats.rows = len(self._rows)

    def _deliver(self, events: dict[int, tuple[Ticket, list[Event]]]) -> None:
        """Tell everybody what has come; whoever learns of their end may ask for the next thing at once."""
        running = {id(row.ticket) for row in self._rows}
        for name, (_, found) in events.items():
            drew = any(isinstance(event, Drawn) and event.token is not None for event in found)
            if drew and name not in running:
                self._settle()
        for ticket, found in events.values():
            if found and not ticket.cancelled:
                ticket.receive(found)

    def _settle(self) -> None:
        with self._news:
            self._open -= 1
        self.stats.finished += 1

    def _fail_all(self, reason: str) -> None:
        """Tell everybody that it is over; the caches may hold anything now."""
        with self._news:
            waiting = [ticket for tickets in self._waiting.values() for ticket in tickets] if self._closing else []
            tickets = {id(each.ticket): each.ticket for each in self._reading}
            tickets |= {id(row.ticket): row.ticket for row in self._rows}
            tickets |= {id(ticket): ticket for ticket in waiting}
            self._open -= len(tickets)
            if self._closing:
                self._waiting.clear()
                self.stats.waiting = 0
            self._reading.clear()
            self._remove(self._rows[::-1])
            self._prefixes.clear()
        self.stats.failed += len(tickets)
        self.stats.rows = self.stats.reading = 0
        for ticket in tickets.values():
            ticket.receive([Failed(reason)])


def _continuation(events: Sequence[Event], index: int) -> Continuation:
    own = [event for event in events if isinstance(event, Drawn) and event.index == index]
    finish = own[-1].finish
    assert finish is not None
    return Continuation(
        "".join(event.text for event in own),
        tuple(event.token for event in own if event.token is not None),
        finish,
        tuple(event.logprob for event in own if event.logprob is not None),
    )
