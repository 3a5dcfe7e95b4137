"""The second process of a plan fills the cache, and nothing else depends on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from reconciler.operations.context import open_context
from reconciler.state.events import Header
from reconciler.state.frames import GENESIS, seal

IDS = [f"id-{number * 7919 % 1000:04}" for number in range(1000)]

#: Small files count as large here, so that a second process is worth it.
BEGIN = """
import json, os, sys, threading
from dataclasses import replace
from reconciler.operations.context import open_context
from reconciler.state.events import Header
from reconciler.state.frames import GENESIS, seal
from reconciler.operations import beside, planning
from reconciler.operations.context import open_context
from reconciler.state import reading

reading._LARGE = 1
forks = []
fork = os.fork
os.fork = lambda: forks.append(None) or fork()
context = open_context(base_url="http://127.0.0.1:9/client/v4")
context = replace(context, processes=True, cache=replace(context.cache, least=1))
os.sched_getaffinity = lambda _: {0, 1}
"""

END = """
try:
    os.waitpid(-1, os.WNOHANG)
    left = True
except ChildProcessError:
    left = False
print(json.dumps({"forks": len(forks), "left": left, **said}))
"""

#: The process that reads the id files: it has done so before this one has parsed the log, or is still at it.
ENDED = "beside.Beside.done = lambda self: self._wait(0)\n"
AT_WORK = "beside.Beside.done = lambda self: False\n"

PLAN = """
planned = planning.plan(context)
said = {"fingerprint": planned.plan.fingerprint, "codes": [each.code for each in planned.plan.diagnostics]}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text(
        "version: 1\naccount_id: 023e105f4ecef8ad9ca31a8372d0c353\n"
        "absent:\n  - {index: docs, reason: r, ids_from: [{path: ids.txt}]}\n"
    )
    (tmp_path / "manifests" / "ids.txt").write_text("\n".join(IDS))
    line = seal(1, GENESIS, "n", "2026-11-22T12:00:01.000Z", "", [Header("a" * 32)]).line
    (tmp_path / "reconciler.state.jsonl").write_bytes(line)
    return tmp_path


def run(project, code, *, files=AT_WORK, cache="cache", printed=()):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CLOUDFLARE")},
        "RECONCILER_CACHE": cache if cache == "off" else str(project / cache),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + files + textwrap.dedent(code) + END],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *lines, said = done.stdout.splitlines()
    assert lines == list(printed)
    return json.loads(said)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems get no second process")
class TestOnLinux:
    def test_a_plan_is_the_same_with_a_second_process_as_without(self, project):
        alone = run(project, PLAN, cache="off")
        assert alone["forks"] == 0
        for forks, files in enumerate((AT_WORK, ENDED), 1):
            beside = run(project, PLAN, files=files, cache=f"cache-{forks}")
            assert beside == {**alone, "forks": forks, "left": False}

    def test_it_leaves_the_ids_in_the_cache_before_this_process_asks_for_them(self, project):
        said = run(
            project,
            """
            from reconciler.manifests import idfiles
            parsed = idfiles._parsed
            here = []
            idfiles._parsed = lambda *each: here.append(os.getpid()) or parsed(*each)
            planned = planning.plan(context)
            said = {"parsed": len(here), "ids": planned.plan.summary.delete}
            """,
        )
        assert said == {"forks": 1, "left": False, "parsed": 0, "ids": 1000}

    @pytest.mark.parametrize(("files", "forks"), [(ENDED, 2), (AT_WORK, 1)])
    def test_the_snapshot_is_written_in_another_process_unless_this_one_would_only_wait(
        self, project, files, forks
    ):
        said = run(
            project,
            """
            from reconciler.state import snapshots
            def keep(*each, kept=snapshots.keep):
                with open("pid", "w") as file:
                    file.write(str(os.getpid()))
                kept(*each)
            snapshots.keep = keep
            planned = planning.plan(context)
            with open("pid") as file:
                here = int(file.read()) == os.getpid()
            found = snapshots.find(context.cache, planned.projection.lineage).projection()
            said = {"here": here, "same": found.head == planned.projection.head}
            """,
            files=files,
        )
        assert said == {"forks": forks, "left": False, "here": forks == 1, "same": True}

    def test_what_it_cannot_read_this_process_reports(self, project):
        (project / "manifests" / "ids.txt").write_bytes(b"ok\n\xff\n")
        assert run(project, PLAN, files=ENDED)["codes"] == run(project, PLAN, cache="off")["codes"]
        (project / "manifests" / "a.yaml").write_text("version: [")
        found = run(project, PLAN, files=ENDED, cache="another")
        assert found["forks"] == 2
        assert found["codes"] == run(project, PLAN, cache="off")["codes"] != []

    @pytest.mark.parametrize("further", [(), ("SIGINT", "SIGTERM")])
    def test_an_error_meanwhile_ends_it_and_nothing_half_written_stays(self, project, further):
        """Ctrl-C reaches both processes, and then this one ends the other, which may be tidying up already."""
        said = run(
            project,
            f"""
            further = {further}
            """
            """
            import signal, time
            from pathlib import Path
            def tidied(path, *each, unlink=Path.unlink, **named):
                for name in further:
                    os.kill(os.getpid(), getattr(signal, name))
                unlink(path, *each, **named)
            def work():
                def write(writer):
                    os.write(ready[1], b"x")
                    time.sleep(60)
                Path.unlink = tidied
                context.cache.keep("name", {}, write)
            ready = os.pipe()
            try:
                with beside.Beside(context) as second:
                    second.begin(work)
                    os.read(ready[0], 1)
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                said = {"files": os.listdir("cache")}
            """,
        )
        assert said == {"forks": 1, "left": False, "files": []}

    def test_an_interrupt_while_it_is_waited_for_ends_it_too(self, project):
        """Most of the time that a snapshot takes is spent waiting for it at the end of a plan."""
        said = run(
            project,
            """
            import signal, time
            def interrupt(*_):
                raise KeyboardInterrupt
            signal.signal(signal.SIGALRM, interrupt)
            try:
                with beside.Beside(context) as second:
                    second.begin(lambda: time.sleep(3))
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
            except KeyboardInterrupt:
                said = {}
            """,
        )
        assert said == {"forks": 1, "left": False}

    def test_what_goes_wrong_in_it_is_not_heard_of(self, project):
        said = run(
            project,
            """
            def work():
                sys.exit(3)
            print("once")  # stays in a buffer that both processes have
            with beside.Beside(context) as second:
                said = {"begun": second.begin(work), "again": second.begin(work)}
            """,
            printed=["once"],
        )
        assert said == {"forks": 1, "left": False, "begun": True, "again": False}

    @pytest.mark.parametrize(
        "why",
        [
            "context = replace(context, processes=False)",
            "os.sched_getaffinity = lambda _: {0}",
            "threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "os.fork = lambda: [].pop()",
            "reading._LARGE = 1 << 20",
        ],
    )
    def test_there_is_none_where_it_would_be_unsafe_useless_or_is_not_to_be_had(self, project, why):
        why = why.replace("[].pop()", "exec('raise OSError')")
        assert run(project, why + "\n" + PLAN)["forks"] == 0


def test_the_library_starts_no_process_unless_it_is_told_to(tmp_path):
    assert open_context(tmp_path).processes is False
