"""From PATHS to `Desired`: which manifests count, for which account, and what is wrong with them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.cache import NO_CACHE, Cache
from reconciler.manifests.checks import LISTED, quoted
from reconciler.manifests.config import DEFAULT_MANIFESTS, DEFAULT_NAME, Config, is_account
from reconciler.manifests.discovery import Found, discover
from reconciler.manifests.files import shown
from reconciler.model.desired import Declaration, Desired, DesiredTarget, Keep
from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, note
from reconciler.model.limits import Limits
from reconciler.model.target import Target

if TYPE_CHECKING:
    from reconciler.manifests.entries import Entry, Manifest, Reader
    from reconciler.manifests.yaml_events import Text

#: Bytes of manifests that two processes parse in a moment.
_LONG = 1_048_576

_NO_ACCOUNTS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def load(
    paths: Sequence[str],
    *,
    root: Path,
    config: Config,
    origin: str,
    environment_account: str | None,
    today: date,
    known_accounts: Mapping[str, tuple[str, ...]] = _NO_ACCOUNTS,
    explicit_conflicts: Severity = Severity.REFUSAL,
    cache: Cache = NO_CACHE,
) -> Desired:
    """Load manifests. Bad input never raises: everything wrong with all files is in `diagnostics`.

    Keeps are loaded from `config.manifests` as well, whatever `paths` says.

    Args:
        paths: files and folders, relative to `root` or absolute; none means `config.manifests`.
        root: the folder that relative paths start from; names in positions and digests are relative to it.
        config: see load_config.
        origin: of the API, as model.target.origin_of gives it.
        environment_account: what CLOUDFLARE_ACCOUNT_ID says.
        today: decides which declarations have lapsed.
        known_accounts: for each index name the accounts under which the state knows it.
        explicit_conflicts: how grave it is that an id is declared absent and kept.
        cache: of the ids of large files.
    """
    # The parser and the schema checker cost 100 ms: commands that load no manifest do not pay for them.
    from reconciler.manifests.conflicts import conflicts  # noqa: PLC0415
    from reconciler.manifests.entries import Reader  # noqa: PLC0415
    from reconciler.manifests.soundness import Soundness  # noqa: PLC0415

    asked = tuple(paths) or config.manifests
    found, for_keeps = _discover(asked, config, root)
    reader = Reader(root, [*found.diagnostics, *for_keeps.diagnostics], cache, Soundness(cache))
    accounts = _Accounts(config.account_id, environment_account, known_accounts)
    declarations: list[Declaration] = []
    keeps: list[Keep] = []
    files = found.files | {real: file for real, file in for_keeps.files.items() if real not in found.files}
    for real, (path, name) in sorted(files.items(), key=lambda item: item[1][1]):
        manifest = reader.manifest(path, name)
        if manifest is None:
            continue
        if real in found.files:
            declarations += _declarations(manifest, reader, accounts, origin, config.limits)
        for keep, index in reader.keeps(manifest):
            keeps.append(keep)
            reader.diagnostics.extend(_not_allowed(index, config.limits))
    reader.soundness.remember()
    reader.diagnostics.extend(accounts.diagnostics())
    targets, lapsed = _targets(declarations, keeps, today)
    diagnostics = [*reader.diagnostics, *lapsed]
    for target in targets:
        diagnostics += conflicts(target, root=root, severity=explicit_conflicts)
    return Desired(
        targets=targets,
        keeps=tuple(sorted(keeps, key=lambda keep: keep.position)),
        files=reader.files(),
        scope=tuple(dict.fromkeys(shown(path, root) for path in asked)),
        diagnostics=tuple(sorted(dict.fromkeys(diagnostics), key=lambda d: d.sort_key)),
    )


def read_ahead(paths: Sequence[str], root: Path, config: Config, cache: Cache) -> None:
    """Read the id files that manifests name, so that `cache` has their ids when `load` asks for them.

    Whatever is wrong is left to `load`. So are long manifests: they have ids in themselves, and the cache does not
    keep those.

    Args:
        paths, root, config, cache: see `load`.
    """
    from reconciler.manifests.entries import Reader  # noqa: PLC0415 - as above
    from reconciler.manifests.soundness import Soundness  # noqa: PLC0415

    found, for_keeps = _discover(tuple(paths) or config.manifests, config, root)
    files = found.files | for_keeps.files
    if sum(path.stat().st_size for path, _ in files.values()) > _LONG:
        return
    reader = Reader(root, [], cache, Soundness(cache))
    for path, name in files.values():
        manifest = reader.manifest(path, name)
        if manifest is not None:
            for _ in chain(reader.absent(manifest), reader.keeps(manifest)):
                pass


def _discover(asked: Sequence[str], config: Config, root: Path) -> tuple[Found, Found]:
    """The manifests asked for, and those that count for their keeps."""
    skip = {os.path.realpath(root / name) for name in (DEFAULT_NAME, config.path) if name}
    found = discover(asked, root, skip=skip)
    others = discover([path for path in config.manifests if path not in asked], root, skip=skip)
    if config.manifests == DEFAULT_MANIFESTS:
        # Nobody asked for the default folder: that it is missing or empty is no mistake.
        optional = {"path-missing", "no-manifests"}
        others.diagnostics[:] = [d for d in others.diagnostics if d.code not in optional]
    return found, others


def _says_something(reason: str) -> bool:
    """False for a reason that nobody can see: blanks, or characters without a shape."""
    return any(character.isprintable() and not character.isspace() for character in reason)


def _declarations(
    manifest: Manifest, reader: Reader, accounts: _Accounts, origin: str, limits: Limits
) -> Iterator[Declaration]:
    ordinals: dict[str, int] = defaultdict(int)
    for entry in reader.absent(manifest):
        index = entry.index.value
        ordinals[index] += 1
        reader.diagnostics.extend(_not_allowed(entry.index, limits))
        if limits.require_reason and not _says_something(entry.reason):
            detail = "reconciler.yaml requires one: add `reason:` with a ticket or a legal basis."
            reader.diagnostics.append(
                error("reason-missing", "the declaration has no reason", detail, entry.position)
            )
        account = accounts.of(manifest, entry)
        if account is None:
            continue
        yield Declaration(
            position=entry.position,
            ordinal=ordinals[index],
            target=Target(origin, account[0], index),
            reason=entry.reason,
            until=entry.until[0] if entry.until else None,
            sources=entry.sources,
            prefixes=entry.prefixes,
            account_from=account[1],
        )


def _not_allowed(index: Text, limits: Limits) -> list[Diagnostic]:
    allowed = limits.allowed_indexes
    if allowed is None or index.value in allowed:
        return []
    names = ", ".join(quoted(name) for name in allowed[:10]) + (", …" if len(allowed) > 10 else "")
    detail = f"limits.allowed_indexes of reconciler.yaml names: {names or 'none'}."
    return [error("index-not-allowed", f"the index {quoted(index.value)} is not allowed", detail, index.position)]


def _targets(
    declarations: list[Declaration], keeps: list[Keep], today: date
) -> tuple[tuple[DesiredTarget, ...], list[Diagnostic]]:
    in_force: dict[Target, list[Declaration]] = defaultdict(list)
    lapsed: dict[Target, list[Declaration]] = defaultdict(list)
    notes = []
    for declaration in sorted(declarations, key=lambda d: d.position):
        if declaration.until is None or today < declaration.until:
            in_force[declaration.target].append(declaration)
            continue
        lapsed[declaration.target].append(declaration)
        summary = f"the declaration is no longer enforced since {declaration.until}"
        notes.append(note("lapsed", summary, "Remove the entry, or move `until`.", declaration.position))
    by_index: dict[str, list[Keep]] = defaultdict(list)
    for keep in sorted(keeps, key=lambda k: k.position):
        by_index[keep.index].append(keep)
    targets = tuple(
        DesiredTarget(
            target,
            tuple(in_force.get(target, ())),
            tuple(lapsed.get(target, ())),
            tuple([keep for keep in by_index.get(target.index, ()) if keep.covers(target)]),
        )
        for target in sorted({**in_force, **lapsed})
    )
    return targets, notes


class _Accounts:
    """Which account a declaration is about, and what to say when nobody names one."""

    def __init__(
        self, configured: str | None, environment: str | None, known: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._configured = configured
        self._environment = environment
        self._known = known
        self._nameless: dict[tuple[str, tuple[str, ...]], list[Position]] = defaultdict(list)
        self._environment_used = False

    def of(self, manifest: Manifest, entry: Entry) -> tuple[str, str] | None:
        """(account id, who named it); None when nobody does."""
        if manifest.account is not None:
            return manifest.account, "manifest"
        if self._configured is not None:
            return self._configured, "config"
        if self._environment:
            self._environment_used = True
            return (self._environment, "environment") if is_account(self._environment) else None
        known = self._known.get(entry.index.value, ())
        if len(known) == 1:
            return known[0], "state"
        self._nameless[manifest.name, known].append(entry.position)
        return None

    def diagnostics(self) -> list[Diagnostic]:
        """An error for each manifest without an account, and one for an environment that names no sound one."""
        where = "Name it: `account_id:` in the manifest or in reconciler.yaml, or CLOUDFLARE_ACCOUNT_ID."
        found = []
        for (_, known), places in self._nameless.items():
            several = f" The state knows the index in {', '.join(known)}." if known else ""
            summary = "no account is named for this declaration"
            if len(places) > 1:
                summary += f" and {len(places) - 1} more of this file"
            related = tuple(places[1 : LISTED + 1])
            found.append(
                Diagnostic(Severity.ERROR, "account-missing", summary, where + several, places[0], related)
            )
        if self._environment_used and not is_account(self._environment or ""):
            summary = f"CLOUDFLARE_ACCOUNT_ID {quoted(self._environment or '')} is no account id"
            detail = "An account id is 32 characters, 0-9 and a-f in lower case, as the dashboard shows it."
            found.append(error("account-id", summary, detail))
        return found
