"""Colours and live display on a terminal only, and never silence for long."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import pytest

from reconciler.cli.progress import SILENCE_SECONDS, Heartbeat, StillWorking
from reconciler.emulator import Fault
from reconciler.model.notices import RunBegan
from reconciler.render.notices import LINE_SECONDS

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, process, *arguments: str, env: dict[str, str] | None = None, **streams: object) -> None:
        self.screen, inside = pty.openpty()
        on = {"stdin": inside, "stdout": inside, "stderr": inside, **streams}
        environment = {"TERM": "xterm-256color", "COLUMNS": "200", "NO_COLOR": None, **(env or {})}
        self.process = process(*arguments, env=environment, start_new_session=True, **on)
        os.close(inside)
        self.seen = ""

    def read(self, until: str | None = None, seconds: float = 20.0) -> str:
        """What it shows until `until`, or to its end."""
        deadline = time.monotonic() + seconds
        while until is None or until not in self.seen:
            assert select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))[0], self.seen
            try:
                data = os.read(self.screen, 65536)
            except OSError:  # Linux: the other side was closed
                data = b""
            if not data:
                break
            self.seen += data.decode()
        return self.seen

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def end(self) -> int:
        self.read()
        os.close(self.screen)
        return self.process.popen.wait(10)


@pytest.fixture
def ready(project, seed):
    project.declare(["a", "b"])
    seed(["a", "b"])
    return project


def test_a_plan_is_coloured_on_a_terminal(process, ready):
    terminal = Terminal(process, "plan")
    assert terminal.end() == 0
    assert COLOUR.search(terminal.seen)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(env, process, ready):
    terminal = Terminal(process, "plan", env=env)
    assert terminal.end() == 0
    assert not COLOUR.search(terminal.seen)


@pytest.mark.parametrize("arguments", [("apply", "--auto-approve"), ("plan", "--nonsense")])
def test_no_escape_code_in_a_pipe_or_a_file(arguments, process, ready):
    ended = process(*arguments, env={"FORCE_COLOR": "1", "TERM": "xterm", "CLICOLOR_FORCE": "1"}).end()
    assert "\x1b" not in ended.out + ended.err


def test_the_question_is_on_the_screen_before_the_answer_is_typed(process, ready, service):
    terminal = Terminal(process, "apply")
    shown = ESCAPE.sub("", terminal.read("Enter a value: "))
    assert "2 ids to delete" in shown
    assert "\x1b[?25l" not in terminal.seen  # the cursor stands where the answer is typed
    assert service.emulator.record() == []
    terminal.type("yes\n")
    assert terminal.end() == 0
    assert "Verified absent: 2 ids" in terminal.seen
    assert "\x1b[?25l" in terminal.seen  # then a live display, and the cursor back at its end
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")


def test_ctrl_c_at_the_question_ends_at_once(process, ready, service):
    terminal = Terminal(process, "apply")
    terminal.read("Enter a value: ")
    os.killpg(terminal.process.popen.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert service.emulator.record() == []


def test_end_of_file_at_the_question_is_no_yes(process, ready, service):
    terminal = Terminal(process, "apply")
    terminal.read("Enter a value: ")
    terminal.type("\x04")
    assert terminal.end() == 1
    assert "stdin is closed" in terminal.seen
    assert service.emulator.record() == []


def test_what_goes_to_a_file_is_not_drawn_into_the_live_display(process, ready):
    with (ready.folder / "out.txt").open("wb") as file:
        terminal = Terminal(process, "apply", "--auto-approve", stdout=file)
        assert terminal.end() == 0
    said = (ready.folder / "out.txt").read_text()
    assert "2 ids to delete" in said
    assert "Verified absent: 2 ids" in said
    assert "\x1b" not in said
    assert "Verified absent" not in terminal.seen


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_draw_gets_lines(env, process, ready):
    terminal = Terminal(process, "apply", "--auto-approve", env=env)
    assert terminal.end() == 0
    assert "holds the state" in terminal.seen
    assert "verified absent" in terminal.seen
    assert "\x1b[?25l" not in terminal.seen


def test_json_on_a_terminal_is_json_and_nothing_else(process, ready):
    terminal = Terminal(process, "apply", "--auto-approve", "--format", "json")
    assert terminal.end() == 0
    assert all(line.startswith("{") for line in terminal.seen.split("\r\n") if line)


def test_an_aborted_run_gives_the_cursor_back(process, project, start, until):
    project.declare(["a"])
    service = start()
    service.emulator.seed(ACCOUNT, "docs", ["a", *(f"stays-{n}" for n in range(10))])
    service.emulator.faults.add(Fault(kind="delay_before", operation="delete_by_ids", seconds=20.0, times=None))
    terminal = Terminal(process, "apply", "--auto-approve")
    terminal.read("\x1b[?25l")
    until(lambda: "intent" in project.kinds(), "an intent")
    os.killpg(terminal.process.popen.pid, signal.SIGINT)
    terminal.read("Finishing and recording")
    os.killpg(terminal.process.popen.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("Aborted.")


def test_an_id_cannot_colour_the_screen(process, project):
    project.declare(["\x1b[31mred", "\x1b]0;title\x07"])
    terminal = Terminal(process, "plan", "--verbose", env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert "\x1b" not in terminal.seen
    assert "\\x1b[31mred" in terminal.seen


class Told:
    """A sink that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.notices: list[object] = []
        self.more = threading.Semaphore(0)

    def __call__(self, notice: object) -> None:
        self.notices.append(notice)
        self.more.release()


def test_silence_is_broken_again_and_again():
    told = Told()
    with Heartbeat(told, silence=0.02):
        for _ in range(3):
            assert told.more.acquire(timeout=10)
    assert all(isinstance(each, StillWorking) for each in told.notices)
    assert told.notices[0].message == "still working, 0 s so far"


def test_no_heartbeat_while_there_is_something_to_tell():
    told = Told()
    with Heartbeat(told, silence=60) as heartbeat:
        heartbeat(RunBegan("run"))
    assert told.notices == [RunBegan("run")]


def test_no_heartbeat_disturbs_a_question():
    told = Told()
    with Heartbeat(told, silence=0.02) as heartbeat, heartbeat.paused():
        assert not told.more.acquire(timeout=0.5)


def test_a_heartbeat_comes_right_after_the_ten_seconds_of_the_workers_own_lines():
    assert LINE_SECONDS < SILENCE_SECONDS < 10


def test_a_slow_look_at_the_live_index_is_not_taken_for_a_hang(cli, ready, service, monkeypatch):
    monkeypatch.setattr(Heartbeat.__init__, "__kwdefaults__", {"silence": 0.05})
    service.emulator.faults.add(Fault(kind="delay_before", seconds=0.3, times=None))
    ended = cli("plan", "--refresh", "--format", "json")
    assert ended.code == 0
    assert ended.json["observed"] is True
    assert "still working, 0 s so far" in ended.err
    events = cli("apply", "--auto-approve", "--format", "json").events
    assert "heartbeat" in [each["type"] for each in events]


def test_stderr_on_a_terminal_and_stdout_in_a_pipe(process, ready):
    terminal = Terminal(process, "plan", stdout=subprocess.PIPE)
    out = terminal.process.popen.stdout.read().decode()
    assert terminal.end() == 0
    assert "\x1b" not in out
    assert "2 ids to delete" in out
