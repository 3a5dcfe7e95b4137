"""reconciler.yaml: what holds for all manifests of a repository. Optional; never holds a credential."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.cache import NO_CACHE, Cache
from reconciler.manifests.files import reason, shown
from reconciler.model.diagnostic import Diagnostic, Position, error, has_errors
from reconciler.model.limits import ApiSettings, IndexLimits, Limits

if TYPE_CHECKING:
    from reconciler.manifests.yaml_events import Table

DEFAULT_NAME = "reconciler.yaml"
DEFAULT_MANIFESTS = ("manifests",)

_ACCOUNT = re.compile(r"[0-9a-f]{32}\Z")
#: Names of parameters that carry secrets, in a query or in a libpq string.
_SECRET_PARAMETER = re.compile(
    r"(?:^|[?&;\s])[^=&;\s]*(?:passw(?:or)?d|secret|token|access_?key|credential|signature)[^=&;\s]*\s*=",
    re.IGNORECASE,
)
_ENDPOINT = re.compile(r"[?&]\s*endpoint", re.IGNORECASE)
_STATE_ADVICE = (
    "The file is in the repository. Use the store's own variables (PGPASSWORD, PGPASSFILE, AWS_*), a role, or "
    "RECONCILER_STATE. If they were real, revoke them."
)


def is_account(text: str) -> bool:
    """True for the form of an account id: 32 characters 0-9 and a-f."""
    return bool(_ACCOUNT.match(text))


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration.

    Attributes:
        path: of the file, relative POSIX; None when there is none.
        manifests: files and folders, relative to the working folder.
        state: address of the state; None when the file does not say.
        account_id: for manifests that name none.
        limits: how much one plan may delete.
        api: how requests are made.
        recheck: how long a released or lapsed tombstone is still audited by `verify --all`.
    """

    path: str | None = None
    manifests: tuple[str, ...] = DEFAULT_MANIFESTS
    state: str | None = None
    account_id: str | None = None
    limits: Limits = field(default_factory=Limits)
    api: ApiSettings = field(default_factory=ApiSettings)
    recheck: timedelta = timedelta()


def load_config(path: str | None, *, root: Path, cache: Cache = NO_CACHE) -> tuple[Config, tuple[Diagnostic, ...]]:
    """Read the configuration. Bad input never raises: with an error diagnostic the values are the defaults.

    Args:
        path: of the file, relative to `root` or absolute; None: `reconciler.yaml` in `root`, if it is there.
        root: the folder that relative paths start from.
        cache: of what was found in files before.
    """
    if path is None and not os.path.lexists(root / DEFAULT_NAME):
        return Config(), ()
    # The parser and the schema checker cost 100 ms: only who has a configuration pays for them.
    from reconciler.manifests.soundness import Soundness  # noqa: PLC0415
    from reconciler.manifests.values import rule_of, value_of  # noqa: PLC0415
    from reconciler.manifests.yaml_events import Table, compose  # noqa: PLC0415

    name = shown(path or DEFAULT_NAME, root)
    try:
        composed = compose(root / (path or DEFAULT_NAME), name)
    except (OSError, ValueError) as failed:
        summary = f"cannot read the configuration: {reason(failed)}"
        return Config(), (error("config-unreadable", summary, "Check the path.", Position(name)),)
    found = list(composed.diagnostics)
    if composed.root is not None:
        soundness = Soundness(cache)
        found += soundness.problems(composed.root, "config", composed.sha256)
        soundness.remember()
    if isinstance(composed.root, Table):
        found += _credentials(composed.root)
    diagnostics = tuple(sorted(dict.fromkeys(found), key=lambda d: d.sort_key))
    if composed.root is None or has_errors(diagnostics):
        return Config(path=name), diagnostics
    return _config(name, value_of(composed.root, rule_of("config"))), diagnostics


def _config(name: str, values: dict[str, Any]) -> Config:
    """The configuration that `values`, which fit the schema, describe."""
    manifests = values.get("manifests", DEFAULT_MANIFESTS)
    limits = values.get("limits", {})
    whole = Limits()
    max_deletes, max_percent = (
        limits.get("max_deletes", whole.max_deletes),
        limits.get("max_percent", whole.max_percent),
    )
    allowed = limits.get("allowed_indexes")
    return Config(
        path=name,
        manifests=(manifests,) if isinstance(manifests, str) else tuple(manifests),
        state=values.get("state"),
        account_id=values.get("account_id"),
        limits=Limits(
            max_deletes=max_deletes,
            max_percent=max_percent,
            require_reason=limits.get("require_reason", False),
            allowed_indexes=None if allowed is None else tuple(allowed),
            per_index={
                index: IndexLimits(own.get("max_deletes", max_deletes), own.get("max_percent", max_percent))
                for index, own in values.get("indexes", {}).items()
            },
        ),
        api=ApiSettings(**values.get("api", {})),
        recheck=_duration(values.get("recheck", "0d")),
    )


def _duration(text: str) -> timedelta:
    """`30d` or `12h`, as the schema lets it pass."""
    return timedelta(**{{"d": "days", "h": "hours"}[text[-1]]: int(text[:-1])})


def _credentials(root: Table) -> list[Diagnostic]:
    """An error for an address of the state that carries a password or a key, which is not repeated."""
    from reconciler.manifests.yaml_events import Text  # noqa: PLC0415

    state = root.get("state")
    if not isinstance(state, Text):
        return []
    if state.value.lower().startswith("s3:") and _ENDPOINT.search(unquote(state.value)):
        # As with the API's base URL: a pull request could have the ids sent elsewhere.
        summary = "the endpoint of the state's store is never read from a file of the repository"
        return [
            error(
                "state-endpoint", summary, "Use AWS_ENDPOINT_URL_S3, --state or RECONCILER_STATE.", state.position
            )
        ]
    if not has_credentials(state.value):
        return []
    return [
        error("state-credentials", "the address of the state carries credentials", _STATE_ADVICE, state.position)
    ]


def has_credentials(address: str) -> bool:
    """True when the address of a state carries a password, a key or a token."""
    for text in (address, unquote(address)):
        if _SECRET_PARAMETER.search(text):
            return True
        scheme, separator, rest = text.partition("://")
        place = rest.partition("?")[0]
        user, at, _ = place.rpartition("@")
        # postgresql://user@host names who connects, not what proves it; a key before s3's @ is half a credential.
        if separator and at and (":" in user or (scheme.lower() == "s3" and "@" in place.partition("/")[0])):
            return True
    return False
