"""The yardstick of a plan of many entries: nothing but the parser's events of the manifest, with the parser in C.

python tests/benchmarks/parsing.py FILE
"""

import sys

import yaml

events = 0
with open(sys.argv[1], "rb") as file:  # noqa: PTH123 - pathlib would cost more than some files take
    for _ in yaml.parse(file, Loader=yaml.CSafeLoader):
        events += 1
sys.stdout.write(f"{events}\n")
