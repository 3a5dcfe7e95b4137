"""What the operating system says of a file state, in words that help."""

from __future__ import annotations

import errno

from reconciler.errors import StateDamaged, StateError, StoreUnavailable

#: Nothing was written, and trying again would end the same way.
HOPELESS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOLCK, errno.ENOTSUP,
    errno.ENOSYS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
})  # fmt: skip

_NOT_ALLOWED = "it, or its directory, cannot be read or written by this user"

_HINTS = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "the quota of its disk is used up",
    errno.EFBIG: "a limit on the size of files stands in the way (ulimit -f)",
    errno.ENOENT: "its directory does not exist: create it",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: "its file system is read-only",
    errno.EIO: "its disk reports errors: copy the state elsewhere before anything else",
}


def explain(url: str, what: str, error: OSError) -> StoreUnavailable:
    """The error for a system call that failed: the state `url` could not be `what`."""
    return StoreUnavailable(
        f"the state {url} could not be {what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, "")
    )


def not_a_file(url: str) -> StateError:
    """The error for a directory, a pipe, a device."""
    return StateError(
        f"{url} is not a regular file", hint="give the path of a state file, or of one that does not exist yet"
    )


def replaced(url: str) -> StateDamaged:
    """The error for another file under the same name."""
    return StateDamaged(
        f"{url} was replaced by another file while it was in use",
        hint="something other than reconciler writes to it: a restored copy, an editor, or a checkout",
    )
