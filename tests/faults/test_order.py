"""The order of things: an intent is durable before its request leaves, its outcome after; and nobody may change that."""

from __future__ import annotations

import json
import os
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
    append, delete, early = FileStore.append, Client.delete_by_ids, []

    def slowly(store, line, position):
        time.sleep(0.05)  # what would be sent at once is sent now
        outcome = append(store, line, position)
        for event in json.loads(line)["events"]:
            durable.update(event.get("ids", ()) if event["kind"] == "intent" else ())
        return outcome

    def sending(client, target, ids):
        early.extend(each for each in ids if each not in durable)
        return delete(client, target, ids)

    monkeypatch.setattr(FileStore, "append", slowly)
    monkeypatch.setattr(Client, "delete_by_ids", sending)
    context = reconciler.open_context(
        project, environment={"CLOUDFLARE_API_TOKEN": "t"}, base_url=service.base_url, state=f"file:{project}/s"
    )
    assert reconciler.apply(context).exit_code is reconciler.ExitCode.DONE
    assert len(durable) == 120
    assert early == []


@pytest.mark.fault(8)
def test_a_log_whose_frames_do_not_follow_each_other_is_not_walked():
    header = seal(1, GENESIS, "n", "2026-11-22T12:00:00.000Z", "", [ev.Header("l" * 32)])
    other = seal(2, "a" * 64, "n", "2026-11-22T12:00:00.000Z", "", [ev.Recovered("-", 0, "0" * 64)])
    with pytest.raises(StateDamaged, match="chain is broken"):
        list(walk([header.line, other.line]))


@pytest.mark.fault(3)
def test_the_kernel_sees_write_and_sync_before_the_request_and_again_after_its_answer(project, service, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        unavailable("strace is not installed (Debian: strace)")
    trace = tmp_path / "trace"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "CLOUDFLARE_API_TOKEN": "t",
        "CLOUDFLARE_BASE_URL": service.base_url,
    }  # fmt: skip
    watched = "trace=pwrite64,fsync,sendto,write,sendmsg"
    done = subprocess.run(
        [
            strace, "-f", "-s", "3000", "-e", watched, "-o", str(trace), sys.executable, "-c",
            "from reconciler.cli import main; main()", "apply", "--auto-approve", "--no-wait",
        ],
        cwd=project, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr.lower() and done.returncode:
        unavailable(f"strace may not trace here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    named, synced, sent, answered = set(), set(), 0, 0
    for line in trace.read_text("utf-8", "replace").splitlines():
        if "pwrite64(" in line and "intent" in line:
            named |= {f"{name}-{n}" for name in ("a", "b") for n in range(60) if f'\\"{name}-{n}\\"' in line}
        if "pwrite64(" in line and "accepted" in line:
            answered += line.count("mutation_id")
            assert answered <= sent, "an answer was recorded before its request was sent"
        if "fsync" in line and line.endswith("= 0"):
            synced |= named  # appends are made one after the other
        if any(call in line for call in ("sendto(", "write(", "sendmsg(")) and '\\"ids\\"' in line:
            ids = {f"{name}-{n}" for name in ("a", "b") for n in range(60) if f'\\"{name}-{n}\\"' in line}
            if "pwrite64(" in line or not ids:
                continue
            sent += 1
            assert ids <= synced, f"sent before it was synced: {sorted(ids - synced)[:3]}"
    assert sent == answered == 6
