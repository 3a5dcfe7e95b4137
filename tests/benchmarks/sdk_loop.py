"""The plain loop that people write with the official SDK.

python tests/benchmarks/sdk_loop.py BASE_URL ACCOUNT INDEX FILE_OF_IDS
"""

import json
import resource
import sys
import time

# Beside this file lies one that bears the name of a well-known package.
sys.path.pop(0)

from cloudflare import Cloudflare


def cpu() -> float:
    """Seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


base_url, account, index, path = sys.argv[1:]
with open(path) as file:  # noqa: PTH123 - as anybody would
    ids = file.read().split("\n")[:-1]
client = Cloudflare(api_token="any", base_url=base_url)
began, spent = time.perf_counter(), cpu()
for at in range(0, len(ids), 100):
    accepted = client.vectorize.indexes.delete_by_ids(index, account_id=account, ids=ids[at : at + 100])
    if accepted is None or not accepted.mutation_id:
        sys.exit("no mutation id")
requests = -(-len(ids) // 100)
figures = {
    "cpu_milliseconds_a_request": (cpu() - spent) / requests * 1000,
    "milliseconds_a_request": (time.perf_counter() - began) / requests * 1000,
    "requests": requests,
}
sys.stdout.write(json.dumps(figures) + "\n")
