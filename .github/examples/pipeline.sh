#!/usr/bin/env bash
# Any pipeline: `pipeline.sh plan`, an approval, `pipeline.sh apply` with the plan of the first job; `pipeline.sh verify`
# every night. Exit codes and files are all that it takes. RECONCILER_STATE names a state that outlives the runner.
set -euo pipefail

code=0
case "${1:-}" in
  plan)
    reconciler plan --out erasure.plan.json --detailed-exitcode || code=$?
    [ ! -s erasure.plan.json ] || reconciler show erasure.plan.json --format markdown > erasure.plan.md
    ;;
  apply) reconciler apply erasure.plan.json --require-state --format json > apply.jsonl || code=$? ;;
  verify) reconciler verify --all --format json > verify.jsonl || code=$? ;;
  *) echo "usage: $0 plan|apply|verify" >&2; exit 1 ;;
esac

case "$code" in
  0) reason='' ;;
  2) reason='' code=0; echo 'There is something to do: erasure.plan.md waits for an approval.' ;;
  3) reason=refused ;;
  4) reason=reappeared ;;
  5) reason=state-locked ;;
  6) reason=plan-changed ;;
  7) reason=not-settled ;;
  130) reason=interrupted ;;
  *) reason=error ;;
esac
[ -z "$reason" ] || echo "failure-reason=$reason" >&2
exit "$code"
