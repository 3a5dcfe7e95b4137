"""The order of things: an intent is durable before its request leaves, its outcome after; and nobody may change that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

import reconciler
from reconciler.emulator import Settings, running
from reconciler.errors import StateDamaged
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.frames import GENESIS, seal
from reconciler.state.stores.file import FileStore
from reconciler.vectorize import Client
from support.needs import unavailable

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.fixture
def project(tmp_path):
    """One batch for each of two indexes."""
    (tmp_path / "manifests").mkdir()
    absent = [{"index": name, "reason": "x", "ids": [f"{name}-{n}" for n in range(60)]} for name in ("a", "b")]
    document = {"version": 1, "account_id": ACCOUNT, "absent": absent}
    (tmp_path / "manifests" / "x.yaml").write_text(json.dumps(document))
    (tmp_path / "reconciler.yaml").write_text(
        json.dumps({"version": 1, "limits": {"max_percent": 100}, "api": {"batch_size": 20, "concurrency": 4}})
    )
    return tmp_path


@pytest.fixture
def service():
    with running(Settings(budget=None, burst=None)) as made:
        for name in ("a", "b"):
            made.emulator.seed(ACCOUNT, name, [f"{name}-{n}" for n in range(60)])
        yield made


@pytest.mark.fault(3)
def test_no_request_leaves_while_its_intent_is_not_durable_however_slow_the_disk(project, service, monkeypatch):
    durable: set[str] = set()
    append, deletion, early, sent = FileStore.append, Client.deletion, [], []

    def slowly(store, line, position):
        time.sleep(0.05)  # what would be sent at once is sent now
        outcome = append(store, line, position)
        for event in json.loads(line)["events"]:
            durable.update(event.get("ids", ()) if event["kind"] == "intent" else ())
        return outcome

    def sending(client, target, ids):
        send = deletion(client, target, ids)

        def checked():
            sent.extend(ids)
            early.extend(each for each in ids if each not in durable)
            return send()

        return checked

    monkeypatch.setattr(FileStore, "append", slowly)
    monkeypatch.setattr(Client, "deletion", sending)
    context = reconciler.open_context(
        project, environment={"CLOUDFLARE_API_TOKEN": "t"}, base_url=service.base_url, state=f"file:{project}/s"
    )
    assert reconciler.apply(context).exit_code is reconciler.ExitCode.DONE
    assert len(durable) == len(sent) == 120
    assert early == []


@pytest.mark.fault(8)
def test_a_log_whose_frames_do_not_follow_each_other_is_not_walked():
    header = seal(1, GENESIS, "n", "2026-11-22T12:00:00.000Z", "", [ev.Header("l" * 32)])
    other = seal(2, "a" * 64, "n", "2026-11-22T12:00:00.000Z", "", [ev.Recovered("-", 0, "0" * 64)])
    with pytest.raises(StateDamaged, match="chain is broken"):
        list(walk([header.line, other.line]))


#: `PID call(arguments...`, and `PID <... call resumed>the rest`, of which the end says what was returned.
CALL = re.compile(r"(\d+) +(?:(\w+)\(|<\.\.\. \w+ resumed>)(.*)")
UNFINISHED = " <unfinished ...>"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')


def calls(trace):
    """What the kernel saw, in order: (when, call, arguments, result); when is "begin" or "end", each once a call."""
    open_calls = {}
    for line in trace.read_text("utf-8").splitlines():
        found = CALL.match(line)
        if found is None:
            continue  # a signal, an exit
        pid, call, rest = found.groups()
        if call is not None:
            arguments = rest.removesuffix(UNFINISHED)
            yield "begin", call, arguments, None
        else:
            call, arguments = open_calls.pop(pid)
            arguments += rest
        if rest.endswith(UNFINISHED):
            open_calls[pid] = call, arguments
        else:
            yield "end", call, arguments, int(arguments.rpartition(" = ")[2].split()[0])


def data(arguments):
    """The bytes that a call was given, or gave."""
    text, cut = QUOTED.search(arguments).groups()
    assert not cut, "strace shortened it"
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


class Kernel:
    """What of the log is on the disk, as far as the kernel has said so, and what was sent and received meanwhile."""

    def __init__(self):
        self.log, self.written, self.syncing, self.durable = None, bytearray(), b"", b""
        self.streams, self.received, self.sent = {}, b"", []

    def see(self, when, call, arguments, result):
        handle = re.split(r"[,) ]", arguments, maxsplit=1)[0]
        if call == "pwrite64":
            assert self.log in (None, handle)
            self.log = handle
            self._write(when, data(arguments), arguments)
        elif call in ("fsync", "fdatasync") and handle == self.log:
            if when == "begin":
                self.syncing = bytes(self.written)
            else:
                assert result == 0
                self.durable = self.syncing
        elif call in ("sendto", "sendmsg") and when == "begin":
            self._send(handle, data(arguments))
        elif call == "recvfrom" and when == "end" and result > 0:
            self.received += data(arguments)

    def _write(self, when, content, arguments):
        if when == "end":
            offset = int(arguments.rpartition(")")[0].rpartition(",")[2])
            self.written[offset : offset + len(content)] = content
        for mutation in re.findall(rb'"mutation_id":"([^"]+)"', content):
            assert mutation in self.received, "an outcome was recorded before it arrived"

    def _send(self, handle, content):
        """A request is sent from its first byte on: by then its intent must be durable."""
        intents, before = self.streams.get(handle, (None, b""))
        if content.startswith((b"GET ", b"POST ")):
            intents, before = self.events(ev.Intent), b""
        stream = before + content
        self.streams[handle] = intents, stream
        head, _, body = stream.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if b"/delete_by_ids " in head and length and len(body) == int(length[1]):
            ids = json.loads(body)["ids"]
            assert ids in [list(intent.ids) for intent in intents], "sent before its intent was durable"
            self.sent.append(ids)

    def events(self, kind):
        """Those in the whole lines that are durable now."""
        lines = self.durable[: self.durable.rfind(b"\n") + 1].splitlines(keepends=True)
        return [event for frame in walk(lines) for event in frame.events if isinstance(event, kind)]


@pytest.mark.fault(3)
def test_the_kernel_sees_write_and_sync_before_each_request_and_again_after_its_answer(
    project, service, tmp_path, cases
):
    strace = shutil.which("strace")
    if strace is None:
        unavailable("strace is not installed (Debian: strace)")
    trace = tmp_path / "trace"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "CLOUDFLARE_API_TOKEN": "t",
        "CLOUDFLARE_BASE_URL": service.base_url,
    }  # fmt: skip
    watched = "trace=pwrite64,fsync,fdatasync,ftruncate,sendto,sendmsg,recvfrom"
    done = subprocess.run(
        [
            strace, "-f", "-s", "100000", "-e", watched, "-o", str(trace), sys.executable, "-c",
            "from reconciler.cli import main; main()", "apply", "--auto-approve", "--no-wait",
        ],
        cwd=project, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr.lower() and done.returncode:
        unavailable(f"strace may not trace here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    kernel = Kernel()
    for each in calls(trace):
        kernel.see(*each)
    accepted = [event.mutation_id for event in kernel.events(ev.Accepted)]
    asked = [entry for entry in service.emulator.record() if entry.operation == "delete_by_ids"]
    assert len(kernel.sent) == 6
    assert sorted(kernel.sent) == sorted(list(entry.ids) for entry in asked)
    assert sorted(accepted) == sorted(entry.mutation_id for entry in asked), "an outcome was not synced"
    assert kernel.durable == (project / "reconciler.state.jsonl").read_bytes()
    cases(len(kernel.sent))
