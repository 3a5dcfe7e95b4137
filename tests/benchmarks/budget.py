"""How much of a budget an apply uses: on a clock that it moves itself, so that five minutes pass at once.

    python -m benchmarks.budget DELETES

Prints a JSON object: `used`, the least part of the budget spent in any whole window after the first request, and
`most`, the most requests in any five minutes.
"""

from __future__ import annotations

import json
import random
import sys
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import data
from reconciler.errors import ExitCode
from reconciler.operations.applying import apply
from support.inprocess import Service

BUDGET, WINDOW = 1_200, 300.0
#: A five minutes' measure of the service's clock is not taken to the last millisecond.
_ROUNDING = 1e-6


def main(deletes: int) -> dict[str, float]:
    """Apply and count."""
    service = Service(lag=5.0)
    service.emulator.create_index(data.ACCOUNT, data.INDEX)
    chance = random.Random(deletes)
    with TemporaryDirectory() as made:
        root = Path(made)
        folder = data.project(root, requests_per_five_minutes=BUDGET)
        ids = (f"{chance.getrandbits(128):032x}" for _ in range(100 * deletes))
        (folder / "manifests" / "erasure.yaml").write_text(data.manifest(data.inline(ids)))
        result = apply(service.context(root))
    if result.exit_code is not ExitCode.DONE:
        sys.exit(f"apply ended in {result.exit_code!r}")
    record = service.emulator.record()
    times = [entry.at for entry in record]
    sent = [entry.at for entry in record if entry.operation == "delete_by_ids"]
    most = max(place - bisect_left(times, at - WINDOW + _ROUNDING) + 1 for place, at in enumerate(times))
    windows = int((sent[-1] - times[0]) / WINDOW)
    bounds = [times[0] + WINDOW * number for number in range(windows + 1)]
    spent = [bisect_left(times, end) - bisect_left(times, start) for start, end in pairwise(bounds)]
    return {"used": min(spent, default=0) / BUDGET, "most": most, "requests": len(times)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]))) + "\n")
