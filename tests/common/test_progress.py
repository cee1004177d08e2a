import pytest

from danlu.common.progress import Progress


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_lines_stay_and_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=False)
    report("one")
    with report.indented():
        report("two")
    report("three")
    assert capsys.readouterr().out == "one\n  two\nthree\n"


def test_off_a_terminal_the_moving_line_comes_now_and_then(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=False, clock=clock)
    for done in range(61):
        report.show(done, 100, "training", f"loss {done}")
        clock.now += 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "training 15% · loss 15 · 1 min 25 s left"


def test_the_eta_counts_from_where_this_session_began(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=False, clock=clock)
    report.show(80, 100, "training")
    clock.now += 20
    report.show(90, 100, "training")
    assert capsys.readouterr().out == "training 90% · 20 s left\n"


def test_a_new_label_starts_a_new_clock(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=False, clock=clock)
    report.show(0, 10, "one")
    clock.now += 100
    report.show(0, 10, "two")
    clock.now += 20
    report.show(5, 10, "two")
    assert capsys.readouterr().out == "two 50% · 20 s left\n"


def test_on_a_terminal_lines_and_the_bar_live_together(capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=True)
    with report.indented():
        report.show(1, 2, "half")
        report("a line [with] brackets")
    report("after")
    out = capsys.readouterr().out
    assert "a line [with] brackets" in out
    assert out.endswith("after\n")


def test_a_silent_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report = Progress(terminal=True, silent=True)
    report("one")
    report.show(1, 2, "two")
    assert capsys.readouterr().out == ""
