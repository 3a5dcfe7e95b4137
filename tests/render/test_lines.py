"""Lines are written by the block; nobody sees where a block ends."""

from __future__ import annotations

import io

import pytest

from reconciler.render.lines import Line, write_coloured, write_lines


class Written(io.StringIO):
    """A stream that counts how often it is written to."""

    times = 0

    def write(self, text: str) -> int:
        self.times += 1
        return super().write(text)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1300])
@pytest.mark.parametrize("write", [write_lines, write_coloured])
def test_every_line_is_written_once_in_order_and_ends(write, count: int) -> None:
    stream = Written()
    write((Line(f"{n}", "bold") if n % 2 else f"{n}" for n in range(count)), stream)
    assert stream.getvalue() == "".join(f"{n}\n" for n in range(count))
    assert stream.times <= 3


def test_what_is_written_is_not_all_made_before() -> None:
    stream, seen = Written(), []

    def lines():
        for n in range(2000):
            seen.append(stream.times)
            yield Line(f"{n}")

    write_lines(lines(), stream)
    assert seen[0] == 0
    assert seen[-1] > 0
