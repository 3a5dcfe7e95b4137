"""The yardstick of a plan in which nothing changed: hash the files that it rests on, and check the chain of the log.

python tests/benchmarks/hashing.py LOG FILE…
"""

import hashlib
import re
import sys

PREV = re.compile(rb'\{"v":1,"pos":[0-9]+,"prev":"([0-9a-f]{64})"')

for path in sys.argv[2:]:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib would cost more than it reads
        hashlib.file_digest(file, "sha256")
before, frames = b"0" * 64, 0
with open(sys.argv[1], "rb") as log:  # noqa: PTH123 - as above
    for line in log:
        body, said = line[:-76], line[-67:-3]
        if PREV.match(line)[1] != before or hashlib.sha256(body).hexdigest().encode() != said:
            sys.exit(f"frame {frames + 1} is not what the log says")
        before, frames = said, frames + 1
sys.stdout.write(f"{frames}\n")
