"""What was derived from files and from the log, kept so that it need not be derived again.

Everything here can be thrown away at any time: it is found by the digest of what it was derived from, checked
piece by piece when it is read, and made anew by whoever misses it. It is never trusted over its source: the source
is hashed each time, and a log's chain is checked from its first byte.

The folder is `RECONCILER_CACHE` ("off": none), else `reconciler/derived` in `$XDG_CACHE_HOME` or `~/.cache`. It is
used only if it is this user's alone (mode 0700): what is in it decides what a plan says.
"""

from __future__ import annotations

from reconciler.cache.folder import NO_CACHE, Cache, cache_of
from reconciler.cache.layout import Contents, Writer

__all__ = ["NO_CACHE", "Cache", "Contents", "Writer", "cache_of"]
