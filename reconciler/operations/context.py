"""Where a command works: its root, configuration, environment, state and service."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cache import NO_CACHE, Cache, cache_of
from reconciler.clock import Clock, SystemClock, parse_timestamp
from reconciler.errors import ManifestError
from reconciler.manifests import Config, load_config
from reconciler.manifests import load as load_manifests
from reconciler.model.diagnostic import Diagnostic, Severity, has_errors
from reconciler.model.target import origin_of
from reconciler.vectorize.credentials import base_url_from, credentials_from

if TYPE_CHECKING:
    import httpx

    from reconciler.model.desired import Desired
    from reconciler.model.tombstones import Projection
    from reconciler.state.stores.interface import Store
    from reconciler.vectorize import Budget, Client, Dispatcher

DEFAULT_STATE = "file:reconciler.state.jsonl"


@dataclass(frozen=True)
class Context:
    """Everything a command needs to know of its surroundings. Make it with `open_context`.

    Attributes:
        root: paths in manifests, plans and messages are relative to it.
        environment: variables: credentials, account, base URL.
        config: of reconciler.yaml, or the defaults.
        base_url: of the API, `/client/v4` included.
        state_url: of the state.
        clock: time, waiting and jitter.
        transport: of httpx, for tests; None = the network.
        threads: False does everything in the caller's thread, for deterministic tests.
        diagnostics: warnings about the configuration.
        state_root: what a relative path in `state_url` starts from; None = `root`.
        cache: what was derived from large files and logs before.
        processes: a second process may be forked to read large files, where that is safe.
    """

    root: Path
    environment: Mapping[str, str]
    config: Config
    base_url: str
    state_url: str
    clock: Clock = field(default_factory=SystemClock)
    transport: httpx.BaseTransport | None = None
    threads: bool = True
    diagnostics: tuple[Diagnostic, ...] = ()
    state_root: Path | None = None
    cache: Cache = NO_CACHE
    processes: bool = False

    @property
    def origin(self) -> str:
        """The API origin that plans and the state are pinned to."""
        return origin_of(self.base_url)

    def store(self) -> Store:
        """The state's store, not yet opened for writing.

        Raises:
            UsageError: a URL of no known kind.
        """
        from reconciler.state.stores.urls import open_store  # noqa: PLC0415 - not everybody looks at the state

        return open_store(self.state_url, root=self.state_root or self.root, environment=self.environment)

    def client(self, budget: Budget) -> Client:
        """A client of the API that tells `budget` what the service announces.

        Raises:
            AuthenticationFailed: the environment holds no credentials.
        """
        from reconciler.vectorize import Client  # noqa: PLC0415 - most commands ask nobody

        return Client(
            credentials_from(self.environment),
            self.base_url,
            transport=self.transport,
            on_answer=budget.observe,
            clock=self.clock,
        )

    def require_credentials(self) -> None:
        """Fail early, before anything is recorded.

        Raises:
            AuthenticationFailed: the environment holds no credentials.
        """
        credentials_from(self.environment)

    def budget(self, projection: Projection, *, made: int = 0) -> Budget:
        """The budget, less what the log says was used in the last five minutes, and `made` requests besides."""
        from reconciler.vectorize import Budget  # noqa: PLC0415 - as above

        now = self.clock.now()
        ages = [
            (now - parse_timestamp(at)).total_seconds() for at, count in projection.requests for _ in range(count)
        ]
        ages += [0.0] * made
        return Budget(
            self.clock, per_window=self.config.api.requests_per_window, spent=ages, share=self.config.api.share
        )

    def dispatcher(self, budget: Budget) -> Dispatcher:
        """A dispatcher within `budget`."""
        from reconciler.vectorize import Dispatcher  # noqa: PLC0415 - as above

        return Dispatcher(self.clock, budget, concurrency=self.config.api.concurrency, threads=self.threads)


def open_context(
    root: str | Path = ".",
    *,
    environment: Mapping[str, str] | None = None,
    config: str | None = None,
    state: str | None = None,
    base_url: str | None = None,
    clock: Clock | None = None,
    transport: httpx.BaseTransport | None = None,
    threads: bool = True,
) -> Context:
    """Read configuration and environment. Flags win over environment, environment over configuration.

    Args:
        root: the folder to work in.
        environment: variables; None = the process's own.
        config: path of the configuration; None = reconciler.yaml, which may be absent.
        state: URL of the state; else RECONCILER_STATE, the configuration, `file:reconciler.state.jsonl`.
        base_url: of the API; else the environment's, else Cloudflare's. Never from a file of the repository.
        clock, transport, threads: see Context.

    Raises:
        ManifestError: the configuration cannot be used.
        UsageError: the base URL cannot be used.
    """
    variables = os.environ if environment is None else environment
    folder = Path(root)
    cache = cache_of(variables)
    settings, diagnostics = load_config(config, root=folder, cache=cache)
    if has_errors(diagnostics):
        raise ManifestError("the configuration cannot be used", diagnostics=diagnostics)
    return Context(
        root=folder,
        environment=variables,
        config=settings,
        base_url=base_url_from(base_url, variables),
        state_url=state or variables.get("RECONCILER_STATE") or settings.state or DEFAULT_STATE,
        clock=clock or SystemClock(),
        transport=transport,
        threads=threads,
        diagnostics=diagnostics,
        cache=cache,
    )


def load(
    context: Context,
    paths: Sequence[str] = (),
    *,
    projection: Projection | None = None,
    conflicts: Severity = Severity.ERROR,
) -> Desired:
    """What the manifests say.

    Args:
        context: see Context.
        paths: manifests or folders; none = those of the configuration (`manifests/`).
        projection: the state, for indexes whose account is named nowhere else.
        conflicts: severity of ids that are both absent and kept.

    Returns:
        what was found. Its `diagnostics` hold every problem; errors mean that the rest is not complete.
    """
    known: dict[str, set[str]] = {}
    for record in () if projection is None else projection.targets.values():
        known.setdefault(record.target.index, set()).add(record.target.account_id)
    return load_manifests(
        tuple(paths) or context.config.manifests,
        root=context.root,
        config=context.config,
        origin=context.origin,
        environment_account=context.environment.get("CLOUDFLARE_ACCOUNT_ID") or None,
        today=context.clock.now().date(),
        known_accounts={index: tuple(sorted(accounts)) for index, accounts in known.items()},
        explicit_conflicts=conflicts,
        cache=context.cache,
    )
