"""A talk in the terminal: on the server's engine, with commands; Ctrl-C stops an answer, not the program."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.steering import hold, script
from tests.waiting import PATIENCE, until
from tests.web.conftest import make_model

from danlu.cli.chat_settings import ChatSettings
from danlu.cli.chat_talk import Talk
from danlu.cli.chat_terminal import Terminal, converse, harmless
from danlu.cli.main import main
from danlu.common.errors import DanluError
from danlu.common.interrupt import Stopped
from danlu.web.served import ServedModel, find_models, load_model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: make_model(place / name, chat=name == "tiny") for name in ("tiny", "base")}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> Iterator[dict[str, ServedModel]]:
    load = partial(load_model, device="cpu", precision="fp32")
    found = find_models(tuple(folders.values()), lambda path: path, load)
    yield found.by_name
    found.close()


def talk_of(
    models: dict[str, ServedModel], name: str = "tiny", settings: ChatSettings | None = None, system: str = ""
) -> Talk:
    chosen = {name: models[name]} | models

    def find(path: Path) -> ServedModel:
        return next(iter(find_models([path], lambda path: path, load_model)))

    return Talk(chosen, find, settings or ChatSettings(max_new_tokens=6, seed=1), system)


def typed(talk: Talk, *lines: str, to: io.StringIO | None = None) -> str:
    """What the terminal shows when these lines come in."""
    target = to or io.StringIO()
    converse(talk, Terminal(Path("/nowhere"), io.StringIO("".join(f"{line}\n" for line in lines)), target))
    return target.getvalue()


def test_turns_are_kept_and_commands_change_them(models: dict[str, ServedModel], tmp_path: Path) -> None:
    talk = talk_of(models, system="be kind")
    said = typed(talk, "one two", "three", "/undo", "/set top_p 0.5", "/temperature 0", "/show", "/help")
    assert [turn["role"] for turn in talk.messages()] == ["system", "user", "assistant"]
    assert "taken back: three" in said
    assert "top_p 0.5" in said
    assert (talk.settings.temperature, talk.settings.top_p) == (0, 0.5)
    assert f"assistant: {harmless(talk.turns[1]['content'])}" in said
    assert "/retry" in said
    typed(talk, f"/save {tmp_path / 'talk.jsonl'}", "/system none", "/clear")
    assert json.loads((tmp_path / "talk.jsonl").read_text())["messages"][0] == {"role": "system", "content": "be kind"}
    assert talk.messages() == []


def test_a_seed_repeats_a_talk_and_retry_gives_another_answer(models: dict[str, ServedModel]) -> None:
    first, second = talk_of(models), talk_of(models)
    typed(first, "one", "two")
    typed(second, "one", "two")
    assert first.turns == second.turns
    before = first.turns[-1]["content"]
    typed(first, "/retry")
    assert len(first.turns) == 4
    assert first.turns[-1]["content"] != before
    typed(first, "/temperature 0", "/retry")
    greedy = first.turns[-1]["content"]
    typed(first, "/retry")
    assert first.turns[-1]["content"] == greedy


def test_the_answer_is_the_engines_own(models: dict[str, ServedModel]) -> None:
    from danlu.web.asking import Settings, chat_tokens, request_of

    talk = talk_of(models)
    typed(talk, "one")
    loaded = talk.loaded()
    tokens = chat_tokens(talk.model, loaded, [{"role": "user", "content": "one"}])
    asked = request_of(talk.model, tokens, Settings(seed=1, max_tokens=6), "test")
    (whole,) = loaded.engine.complete(asked)
    assert talk.turns[-1]["content"] == whole.text


def test_a_base_model_goes_on_with_its_text(models: dict[str, ServedModel]) -> None:
    talk = talk_of(models, "base")
    said = typed(talk, "The furnace", "", "/show", "/system x")
    assert talk.text().startswith("The furnace")
    assert [turn["role"] for turn in talk.turns] == ["user", "assistant", "assistant"]
    assert harmless(talk.text()) in said
    assert "a base model is told nothing" in said


def test_models_are_changed_by_name_and_by_path(models: dict[str, ServedModel], folders: dict[str, Path]) -> None:
    talk = talk_of(models)
    said = typed(talk, "/model base", "/model nonsense", f"/model {folders['tiny']}", "/model")
    assert "* base" in said
    assert "there is no model 'nonsense'" in said
    assert talk.model is models["tiny"]


def test_what_is_wrong_is_said_and_the_talk_goes_on(models: dict[str, ServedModel]) -> None:
    talk = talk_of(models)
    said = typed(
        talk,
        "/tempratur 1",
        "/temperature hot",
        "/top_p 7",
        "/max 0",
        "/retry",
        "/undo",
        "x" * 3000,
        "one",
        "/quit",
        "no",
    )
    for words in (
        "Did you mean /temperature?",
        "cannot be 'hot'",
        "top_p is 7",
        "max_new_tokens is 0",
        "no answer yet",
    ):
        assert words in said
    assert "have room" in said
    assert [turn["content"] for turn in talk.turns if turn["role"] == "user"] == ["one"]
    with pytest.raises(DanluError, match="top_p"):
        talk_of(models, settings=ChatSettings(top_p=0))


def test_the_oldest_turns_leave_the_prompt_and_it_is_said(models: dict[str, ServedModel]) -> None:
    talk = talk_of(models, system="s")
    said = typed(talk, *(f"{number} " + "one two three four " * 14 for number in range(6)))
    assert "the context has no room for the first" in said
    assert len(talk.turns) == 12  # nothing is forgotten, only left out


def test_lines_in_quotes_are_one_message_and_two_slashes_are_one(models: dict[str, ServedModel]) -> None:
    talk = talk_of(models)
    typed(talk, '"""', "one", "/help", '"""', "//two")
    assert [turn["content"] for turn in talk.turns if turn["role"] == "user"] == ["one\n/help", "/two"]


class Interrupted(io.StringIO):
    """A person who presses Ctrl-C as soon as some of the answer is there."""

    pressed = False

    def write(self, text: str) -> int:
        written = super().write(text)
        if not self.pressed and text and "Ctrl-D" not in text:
            self.pressed = True
            raise Stopped(signal.SIGINT)
        return written


def test_ctrl_c_stops_an_answer_and_not_the_program(
    models: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = talk_of(models, settings=ChatSettings(max_new_tokens=200))
    engine = talk.loaded().engine
    tokens = script(engine, monkeypatch, "The furnace is hot and the gold is cold.")
    hold(engine, monkeypatch, len(tokens) // 2)
    said = typed(talk, "one two", "/max 2", "again", to=Interrupted())
    assert ", stopped]" in said
    assert [turn["role"] for turn in talk.turns] == ["user", "assistant", "user", "assistant"]
    assert talk.turns[1]["content"].startswith("The")
    assert talk.turns[3]["content"].startswith("The")
    until(lambda: (engine.stats.rows, engine.stats.cancelled) == (0, 1))


def test_control_characters_do_not_command_the_terminal() -> None:
    assert harmless("a\x1b[2Jb\x07\x9b1m\r\n\t炉") == "a\\x1b[2Jb\\x07\\x9b1m\\x0d\n\t炉"


def test_without_a_model_it_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat"]) == 2
    assert "danlu chat RUN_OR_MODEL" in capsys.readouterr().err


def waits_for_a_key(process: int) -> bool:
    """Whether the main thread of a program that has shown its prompt sleeps. Python's editor does not see a Ctrl-C
    that comes between the prompt and its wait for a key, a moment that is over sooner than a person could press it."""
    state = Path(f"/proc/{process}/task/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "S"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="whether a program waits for a key is read from /proc")
def test_a_person_at_a_terminal_edits_lines_and_finds_them_again(folders: dict[str, Path], tmp_path: Path) -> None:
    history = tmp_path / "deep" / "history"

    def sit_down(*typed: tuple[str, str]) -> str:
        command = [sys.executable, "-m", "danlu.cli.main", "chat", str(folders["tiny"]), "--max-new-tokens", "3"]
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*command, "--history", str(history)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0), close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        shown, seen = "", 0

        def wait_for(words: str) -> None:
            """Wait for words that are new, and then for the prompt: before that the terminal is not the editor's."""
            nonlocal shown, seen
            while (found := shown.find(words, seen)) < 0 or not shown[found:].endswith("> "):
                assert select.select([ours], [], [], PATIENCE)[0], shown
                shown += os.read(ours, 4096).decode(errors="replace")
            seen = len(shown)

        wait_for("")
        for keys, words in typed:
            if keys == "\x03":
                until(lambda: waits_for_a_key(process.pid))
            os.write(ours, keys.encode())
            wait_for(words)
        os.write(ours, b"\x04")
        assert process.wait(PATIENCE) == 0
        os.close(ours)
        return shown

    sit_down(("\x03", "(Ctrl-D or /quit ends the talk)"), ("one twx\x7fo\n", "tokens,"), ("/he\t\n", "/retry"))
    assert "one two" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    assert "taken back: one two" in sit_down(("\x1b[A\x1b[A\n", "tokens,"), ("/undo\n", "taken back"))
