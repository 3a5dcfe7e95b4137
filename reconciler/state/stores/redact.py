"""What of a state's URL may be shown."""

from __future__ import annotations

import re

#: What stands before the last `@` of anything but a file: schemes, perhaps after what a shell or an editor left.
_USER_INFO = re.compile(r"^([^A-Za-z]*(?!(?i:file):)(?:[A-Za-z][A-Za-z0-9+.-]*:)+/{0,2})(.*)@", re.DOTALL)
_SECRET_OPTION = re.compile(
    r"((?:password|passwd|pwd|secret|token|passfile|credential|key|signature)[a-z_]*\s*=\s*)[^&\s]*",
    re.IGNORECASE,
)


def redact(url: str) -> str:
    """`url` without what could be a credential. The name of a user stays, a password never does.

    Everything up to the last `@` counts as user and password: an unescaped `/` or `@` in a password must not
    show the rest of it.
    """
    found = _USER_INFO.match(url)
    if found:
        user, colon, _ = found[2].partition(":")
        known = user if colon and re.fullmatch(r"[\w.%+-]*", user) else ""
        url = f"{found[1]}{known}{':' if known else ''}***@{url[found.end() :]}"
    return _SECRET_OPTION.sub(r"\1***", url)
