# What a plan of reconciler must look like before a pull request may be merged. An example: copy it and change it.
#
#   reconciler plan --refresh --out plan.json --expires 24h
#   conftest test --policy tests/policy plan.json
#
# `deny` fails the check, `warn` is shown. Every name below is in schemas/plan.schema.json.
package main

import rego.v1

most_ids := 1000

ticket := `\b(PRIV|LEGAL)-[0-9]+\b`

sent(index) := ((index.summary.delete + index.summary.resend) + index.summary.reappeared)

deny contains "the plan cannot be applied: it has errors, is refused, or there is nothing to do" if {
	not input.applyable
}

deny contains "the plan does not cover everything that is declared" if {
	not input.complete
}

deny contains "the live indexes were not read, so max_percent was not checked: plan with --refresh" if {
	not input.observed
}

deny contains "the plan never expires: plan with --expires" if {
	not input.expires_at
}

deny contains msg if {
	some index in input.indexes
	sent(index) > most_ids
	msg := sprintf("%s: %d ids would be sent, more than %d", [index.index, sent(index), most_ids])
}

deny contains msg if {
	some index in input.indexes
	some action in index.actions
	action.action in {"delete", "resend", "reappeared"}
	not names_a_ticket(action)
	msg := sprintf("%s: %d ids are deleted for no ticket", [index.index, count(action.ids)])
}

deny contains msg if {
	some diagnostic in input.diagnostics
	diagnostic.code in {"nothing-declared", "mass-release", "index-recreated"}
	msg := diagnostic.summary
}

warn contains msg if {
	some diagnostic in input.diagnostics
	diagnostic.code == "first-deletion"
	msg := diagnostic.summary
}

warn contains msg if {
	input.summary.release > 0
	msg := sprintf("%d ids would not be enforced any more", [input.summary.release])
}

names_a_ticket(action) if {
	some source in action.sources
	regex.match(ticket, source.reason)
}
