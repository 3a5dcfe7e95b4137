"""What a plan costs in requests: deletes, proofs and waiting, by the arithmetic of observer and settler."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from reconciler.model.limits import (
    GET_BY_IDS_MAXIMUM,
    LIST_PAGE_MAXIMUM,
    MEDIAN_LAG_SECONDS,
    SLICE_IDS,
    ApiSettings,
    polls_within,
)
from reconciler.model.observation import Observation
from reconciler.model.plan import Cost, IndexPlan


def cost_of(plans: Iterable[IndexPlan], observation: Observation | None, api: ApiSettings) -> Cost:
    """The cost of carrying out `plans`."""
    deletes = proofs = waiting = 0
    polls = polls_within(MEDIAN_LAG_SECONDS)
    for plan in plans:
        summary = plan.summary
        asked = summary.sends + summary.already_absent + summary.confirm
        if not asked:
            continue
        deletes += summary.requests
        waiting += polls
        created_on = 1 if summary.requests else 0  # before the first delete
        proofs += created_on + proof_requests(asked, _left(plan, observation))
    return Cost(deletes, proofs, waiting, api.least_seconds(deletes + proofs + waiting))


def proof_requests(asked: int, vectors: int | None) -> int:
    """Reads that prove `asked` ids absent from an index of `vectors` (None: not known), `created_on` included."""
    by_name = ceil(asked / GET_BY_IDS_MAXIMUM)
    pages = None if vectors is None else max(1, ceil(vectors / LIST_PAGE_MAXIMUM))
    if pages is not None and pages < by_name:
        return pages + 2
    return by_name + 1 + ceil(asked / SLICE_IDS)


def _left(plan: IndexPlan, observation: Observation | None) -> int | None:
    """Vectors in the index after the deletes; None when nobody looked."""
    seen = None if observation is None else observation.of(plan.target)
    if seen is None or seen.live_count is None:
        return None
    return max(0, seen.live_count - len(plan.to_send & seen.present))
