"""What was read from the live index, and how far it can be trusted as proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.idset import IdSet
from reconciler.model.target import Target


class Presence(StrEnum):
    """What a look at a target found of the index itself."""

    FOUND = "found"
    MISSING = "missing"
    RECREATED = "recreated"


@dataclass(frozen=True)
class TargetObservation:
    """One target, read.

    Attributes:
        presence: MISSING when the service does not know the index; RECREATED when `created_on` is not the pin.
        created_on: as the service gave it; None when missing.
        asked: the ids that were asked for.
        present: those of `asked` that are there.
        live_count: vectors in the index as the service counts them (for the percent limit), None when not read.
        how: "get_by_ids" or "list"; "" when nothing was asked.
        matches: ids that begin with each prefix asked for.
        requests: API requests that it took.
    """

    target: Target
    presence: Presence
    created_on: str | None = None
    asked: IdSet = field(default_factory=IdSet)
    present: IdSet = field(default_factory=IdSet)
    live_count: int | None = None
    how: str = ""
    matches: Mapping[str, IdSet] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True)
class Observation:
    """Every target that was read."""

    targets: Mapping[Target, TargetObservation] = field(default_factory=dict)

    def of(self, target: Target) -> TargetObservation | None:
        """What was read of `target`; None when it was not looked at."""
        return self.targets.get(target)

    @property
    def requests(self) -> int:
        """API requests that it took."""
        return sum(each.requests for each in self.targets.values())
