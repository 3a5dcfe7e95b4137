"""The floor: read two text files of ids, and take one set difference each way.

python tests/benchmarks/floor.py FILE FILE
"""

import sys

one, other = (set(open(path, "rb").read().split(b"\n")) for path in sys.argv[1:])  # noqa: SIM115, PTH123 - as anybody would
sys.stdout.write(f"{len(one - other)} {len(other - one)}\n")
