"""Planning other files against the same state: the base of a pull request, to tell what the pull request adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.operations.context import Context, open_context
from reconciler.operations.planning import Planned, plan


def plan_of(
    tree: Path,
    here: Context,
    *,
    folder: str = "",
    config: str | None = None,
    paths: Sequence[str] = (),
    refresh: bool = False,
    made: int = 0,
) -> Planned:
    """Plan the files of `tree` as those of `here` were planned: the same state, environment and rules.

    Args:
        tree: a checkout of another commit.
        here: where the other plan was made. Its state is used, whatever the configuration in `tree` says.
        folder: within `tree`, what the root of `here` is within its own checkout.
        config: path of the configuration within `folder`, None for reconciler.yaml.
        paths: manifests or folders within `folder`; none = those of the configuration.
        refresh: read the live indexes.
        made: requests that the other plan made just before: they count against the budget.

    Raises:
        UsageError: what was asked for is not in `tree`, so it cannot be of that commit.
        ReconcilerError: as `planning.plan`.
    """
    tree = tree.resolve()
    root = tree / folder
    if not root.is_dir():
        raise UsageError(f"there is no folder {folder} in it")
    _within(tree, root, [*paths, *([] if config is None else [config])])
    other = open_context(
        root,
        environment=here.environment,
        config=config,
        base_url=here.base_url,
        state=here.state_url,
        clock=here.clock,
        transport=here.transport,
        threads=here.threads,
    )
    _within(tree, root, other.config.manifests)
    planned = plan(replace(other, state_root=here.state_root or here.root), paths, refresh=refresh, made=made)
    _within(tree, root, [file.path for file in planned.plan.files])
    return planned


def _within(tree: Path, root: Path, paths: Sequence[str]) -> None:
    """Refuse a path that leads out of `tree`: what is there is not of that commit."""
    for path in paths:
        if not (root / path).resolve().is_relative_to(tree):
            raise UsageError(f"{path} leads out of its files")
