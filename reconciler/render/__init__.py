"""Values in, text out: every rendering for people and machines. Nothing prints; sinks write to a given stream.

escape       untrusted text made harmless: terminals, workflow commands, JSON
lines        a line with a style, and where it goes: a stream or a rich console
console      the console of rich, taught not to end the program
markdown     the same for Markdown: code spans, sentences, blocks, alerts
diagnostics  problems as text and JSON
findings     what a person must know of a plan first, the worst first
folding      many ids in few groups by prefix, with exact counts
sections     folded sections in limited room, which plans and comparisons share
plan_rows    what a plan does to one index, in rows that text and Markdown share
plan_text    a plan for a terminal
plan_markdown, plan_alerts, plan_table
             a plan for a comment or the summary of a step, cut to size with every number exact
comparison, comparison_markdown
             a plan against another: what it introduces, what was pending anyway
github       annotations and outputs of a step of GitHub Actions
gitlab       the report of a merge request's widget
state        the state, and the history of one id, as text and JSON
notices      sinks for what happens during a run: JSON lines, plain lines, a live display
summary      what came of a run
html         a plan, the state and the history of one id as pages, each one self-contained file
"""
