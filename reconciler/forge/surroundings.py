"""What the runner of a pipeline says of itself: repository, token, event, address of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.errors import UsageError
from reconciler.vectorize.credentials import checked_base_url

TOKEN_VARIABLES = ("GITHUB_TOKEN", "GH_TOKEN")
DEFAULT_API_URL = "https://api.github.com"

_REPOSITORY = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
_URL = re.compile(r"https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*)?")
_LARGEST_EVENT = 32 * 1024 * 1024


@dataclass(frozen=True)
class Surroundings:
    """Where a pipeline runs.

    Attributes:
        api_url: of the forge, without a slash at its end; https, or loopback.
        repository: OWNER/NAME.
        commit: that the run is for; "" when the runner does not say.
        run_url: address of the run for people; "" when the runner does not say.
        event: what triggered it, as the forge sent it; untrusted.
    """

    api_url: str
    repository: str
    commit: str = ""
    run_url: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)

    def pull_request(self, asked: int | None = None) -> int:
        """The number asked for, or that of the event.

        Raises:
            UsageError: neither.
        """
        if asked is not None:
            return asked
        found = self.event.get("pull_request")
        number = found.get("number") if isinstance(found, dict) else None
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            return number
        raise UsageError("this run is not for a pull request", hint="Name one with --pull-request NUMBER.")

    @property
    def head(self) -> str:
        """The commit that people see at the end of the pull request: not the merge that was checked out."""
        found = self.event.get("pull_request")
        head = found.get("head") if isinstance(found, dict) else None
        commit = head.get("sha") if isinstance(head, dict) else None
        return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{40,64}", commit) else self.commit


def surroundings_from(env: Mapping[str, str]) -> Surroundings:
    """Read the variables that GitHub's runner sets.

    Raises:
        UsageError: no repository, an address that the token must not be sent to, or an event that is not JSON.
    """
    repository = env.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError("GITHUB_REPOSITORY does not say OWNER/NAME", hint="GitHub's runner sets it.")
    server = env.get("GITHUB_SERVER_URL", "") or "https://github.com"
    run, attempt = env.get("GITHUB_RUN_ID", ""), env.get("GITHUB_RUN_ATTEMPT", "")
    url = f"{server}/{repository}/actions/runs/{run}" + (f"/attempts/{attempt}" if attempt.isdigit() else "")
    commit = env.get("GITHUB_SHA", "")
    return Surroundings(
        api_url=checked_base_url(env.get("GITHUB_API_URL", "") or DEFAULT_API_URL, "GITHUB_API_URL"),
        repository=repository,
        commit=commit if re.fullmatch(r"[0-9a-f]{40,64}", commit) else "",
        run_url=url if run.isdigit() and _URL.fullmatch(url) else "",
        event=_event(env.get("GITHUB_EVENT_PATH", "")),
    )


def token_from(env: Mapping[str, str]) -> str:
    """The token; never shown.

    Raises:
        UsageError: none, or one that cannot be a header.
    """
    for variable in TOKEN_VARIABLES:
        if token := env.get(variable, ""):
            if not all("!" <= character <= "~" for character in token):
                raise UsageError(f"{variable} holds characters that cannot be sent in a header")
            return token
    raise UsageError(
        "no token of the forge in the environment",
        hint=f"Set {TOKEN_VARIABLES[0]}: in a workflow, ${{{{ github.token }}}}.",
    )


def _event(path: str) -> Mapping[str, Any]:
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            document = json.loads(file.read(_LARGEST_EVENT))
    except (OSError, ValueError, RecursionError):
        raise UsageError("GITHUB_EVENT_PATH does not name a file of JSON") from None
    return document if isinstance(document, dict) else {}
