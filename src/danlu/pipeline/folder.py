"""The run folder: where everything of a run lies, and the lock that keeps two processes out of each other's way."""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.common.files import writing

_LEFTOVER = re.compile(r"\..+\.\d+\.tmp")


@dataclass(frozen=True)
class RunFolder:
    """The names of what a run writes; other rooms take these paths, they do not spell them."""

    path: Path
    """The folder."""

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def manifest(self) -> Path:
        """What made the run: versions, hardware, seeds, data hashes."""
        return self.path / "manifest.json"

    @property
    def budget(self) -> Path:
        """The budget in FLOPs and the measured speed behind it."""
        return self.path / "budget.json"

    @property
    def corpus(self) -> Path:
        """Cleaned documents, train and held-out."""
        return self.path / "corpus"

    @property
    def tokens(self) -> Path:
        """Tokenizer and token shards."""
        return self.path / "tokens"

    @property
    def plan(self) -> Path:
        """What the trainings will take on this machine, written before the first of them."""
        return self.path / "plan.json"

    @property
    def ladder(self) -> Path:
        """The small runs: plan, points, one folder a rung."""
        return self.path / "ladder"

    @property
    def fit(self) -> Path:
        """The law fitted to the points."""
        return self.path / "fit"

    @property
    def forecast(self) -> Path:
        """What the target will give, written before it is trained."""
        return self.path / "forecast.json"

    @property
    def pretrain(self) -> Path:
        """The target's training: checkpoints, metrics, result."""
        return self.path / "pretrain"

    @property
    def model(self) -> Path:
        """The trained target in the Hugging Face layout."""
        return self.pretrain / "model"

    @property
    def verdict(self) -> Path:
        """The forecast beside what was measured."""
        return self.path / "verdict.json"

    @property
    def demonstrations(self) -> Path:
        """What the steps of the alignment are given: demonstrations and prompts."""
        return self.path / "demonstrations"

    @property
    def sft(self) -> Path:
        """Step 1: the model that has seen the demonstrations."""
        return self.path / "sft"

    @property
    def rankings(self) -> Path:
        """Rankings of what that model says."""
        return self.path / "rankings"

    @property
    def reward(self) -> Path:
        """Step 2: the reward model."""
        return self.path / "reward"

    @property
    def ppo(self) -> Path:
        """Step 3: the policy."""
        return self.path / "ppo"

    def round(self, number: int) -> Path:
        """A further round: its own rankings, reward model and policy."""
        return self.path / f"round-{number}"

    @property
    def align(self) -> Path:
        """What came of it: the assistant's model folder, and the models side by side."""
        return self.path / "align"

    @property
    def assistant(self) -> Path:
        """The assistant in the Hugging Face layout."""
        return self.align / "model"

    @property
    def feedback(self) -> Path:
        """The store of an annotation page: tasks, and what people answered."""
        return self.path / "feedback.sqlite"

    @property
    def report(self) -> Path:
        """The whole run as one page."""
        return self.path / "report.html"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process out of this run while the block lasts.

        The lock is the operating system's (POSIX record lock): it dies with its process, so a killed run leaves none
        behind, and processes forked by this one do not hold it.

        Raises:
            DanluError: another process is at work here.
        """
        import fcntl

        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+", encoding="utf-8")
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise DanluError(
                    f"another process is at work in {self.path}{_owner(file.read())}.",
                    "Wait for it or stop it, or choose another folder with --out.",
                ) from error
            with writing(self.path):
                file.truncate(0)
                file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
                file.flush()
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """Half-written files of killed processes; nobody else can be writing here now."""
        for path in self.path.rglob(".*.tmp"):
            if _LEFTOVER.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def _owner(text: str) -> str:
    """Who wrote the lock, if it says."""
    try:
        owner = json.loads(text)
        return f" (process {owner['pid']} on {owner['host']})"
    except (ValueError, KeyError, TypeError):
        return ""
