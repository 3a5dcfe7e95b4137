"""What GitLab takes: the report of a plan that its merge request widget shows."""

from __future__ import annotations

from reconciler.model.plan import Plan
from reconciler.render.escape import json_text


def terraform_report(plan: Plan) -> str:
    """The document of `artifacts: reports: terraform`: `delete` counts every id that would be sent."""
    return json_text({"create": 0, "update": 0, "delete": 0 if plan.errored else plan.summary.sends})
