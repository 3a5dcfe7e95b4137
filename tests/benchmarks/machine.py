"""On what was measured, and with what."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import reconciler

_PACKAGES = ("click", "pyyaml", "httpx", "jsonschema", "octodns", "cloudflare")


def machine(work: Path, facts: dict[str, object]) -> dict[str, Any]:
    """JSON values. `facts`: versions that were found out on the way."""
    tools: dict[str, object] = {
        "reconciler": f"{reconciler.__version__} (source {_source()})",
        "Python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            tools[name] = version(name)
        except PackageNotFoundError:
            continue
    if shutil.which("node"):
        said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        tools["node"] = said.stdout.strip().removeprefix("v")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "disk": _disk(work),
        "system": f"{platform.system()} {platform.release()}",
        "tools": {**tools, **facts},
    }


def _source() -> str:
    """Tells one state of the package's files from another, wherever they came from."""
    whole = hashlib.sha256()
    for path in sorted(Path(reconciler.__file__).parent.rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _disk(work: Path) -> str:
    """The file system that `work` is on, and the kind of its disk, as far as the machine says."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        inside = [each for each in mounts if work.resolve().is_relative_to(each[1])]
        device, _, kind, *_ = max(inside, key=lambda each: len(each[1]))
        device_number = work.stat().st_dev
        block = Path(f"/sys/dev/block/{os.major(device_number)}:{os.minor(device_number)}").resolve()
        queue = next((each / "queue" for each in (block, block.parent) if (each / "queue").is_dir()), None)
        if queue is None:
            return kind
        turning = (queue / "rotational").read_text().strip() == "1"
        virtual = "virtual " if "/vd" in device or "virtio" in str(block) else ""
    except (OSError, ValueError):
        return "disk unknown"
    return f"{kind} on a {virtual}disk{' (said to rotate)' if turning and not virtual else ''}"
