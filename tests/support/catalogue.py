"""The faults that are provoked, by number: what happens, and what must hold all the same.

A test that provokes one carries `@pytest.mark.fault(number)`. `pytest -m fault --fault-table` runs them all and
prints how many cases of each were gone through; README.md shows that table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    what: str
    holds: str


FAULTS = {
    1: Fault(
        "kill -9 at every numbered step of an apply, and at random moments",
        "acknowledged frames are read back; no delete without an earlier intent; the next run converges",
    ),
    2: Fault(
        "power cut at every system call: sectors lost, reordered, zero-filled",
        "acknowledged frames are read back; a torn tail is put aside and reported",
    ),
    3: Fault("the fsync left out, a request sent before its intent is durable", "a test fails"),
    4: Fault("the directory of a new log never synced", "nothing is acknowledged before it is"),
    5: Fault("short writes, EINTR, ENOSPC, EDQUOT, EFBIG", "the log is as it was; nothing is sent"),
    6: Fault("EIO on fsync", "the handle is not used again; nothing more is sent"),
    7: Fault("read-only folder, symbolic link, pipe, CRLF, byte order mark, not a state", "refused, left alone"),
    8: Fault(
        "every bit flipped, every truncation, frames swapped, doubled, missing, of another log",
        "refused, or put aside and reported; never silent",
    ),
    9: Fault("the file replaced or rolled back while it is used, or since a head was kept", "noticed, refused"),
    10: Fault("two and eight processes on one state; the lock file removed while held", "one works, one exits 5"),
    11: Fault("SIGSTOP past the lease, takeover, SIGCONT", "the fenced run starts nothing more and exits 5"),
    12: Fault("wall clocks that jump by an hour", "only the waiting changes"),
    13: Fault("S3: answer lost after the commit (reset, time-out, 500, 503)", "the own frame is recognised"),
    14: Fault("S3: request lost before the commit, delivered late, delivered twice", "one frame a position"),
    15: Fault(
        "S3: 409, 412, 429, 403 in the middle, no bucket, redirect, HTML page", "no endless retry, no guess"
    ),
    16: Fault("S3: a server that ignores conditions (s3rver)", "the probe refuses it"),
    17: Fault("S3: a server that checks, then acts", "the probe refuses it"),
    18: Fault("S3: reads that are behind", "never a gap accepted"),
    19: Fault("S3: an object deleted, and written again by a stalled run", "reported, never adopted"),
    20: Fault(
        "PostgreSQL: kill -9 in the middle of commits, connections cut, a rewound server",
        "no acknowledged frame lost; a rewind is noticed",
    ),
    21: Fault(
        "PostgreSQL: transaction pooler, lock waits, read-only server, roles",
        "one writer a position, or a clear refusal",
    ),
    22: Fault(
        "Vectorize: answers lost, late, throttled, refused, without mutation id, cut, redirected",
        "unknown is never called done or failed",
    ),
    23: Fault(
        "Vectorize: a pointer that is late, foreign, never comes; index gone or re-created",
        "verified only by a read",
    ),
    24: Fault("an erased id is inserted again", "reappeared, in the plan, exit 4"),
    25: Fault("SIGINT once and twice, SIGTERM, SIGHUP, closed stdout", "the run is closed or can be continued"),
    26: Fault("stale plans: manifest changed, other run, other log, used twice", "exit 6, nothing sent"),
    28: Fault(
        "ids: Unicode forms, 64 bytes, `no`, leading zeros, line ends, duplicates", "sent exactly, or refused"
    ),
    29: Fault("events and frames of a later version", "readable, not writable"),
    30: Fault("a migration interrupted at every step", "same bytes, same head, one live copy"),
}

#: What state-notes lists and no test here provokes, and why.
LEFT_OUT = {
    "AWS S3 and Cloudflare R2 themselves": "not reachable from tests; SeaweedFS stands for them, the probe decides at `state init`",
    "Ceph RGW": "needs a cluster of five services; its faults (If-Match, conditional delete) are never relied on",
    "a failover to a real asynchronous replica": "the database is rewound instead, which is what the client sees",
    "a formal model (TLA+)": "the hypothesis state machine covers append, fence and unknown over every store",
    "10^5 frames, 10^6 ids": "measured by the benchmarks, not provoked as a fault",
}
