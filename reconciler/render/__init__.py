"""Values in, text out: every rendering for people and machines. Nothing prints; sinks write to a given stream.

escape       untrusted text made harmless: terminals, workflow commands, JSON
lines        a line with a style, and where it goes: a stream or a rich console
console      the console of rich, taught not to end the program
diagnostics  problems as text, JSON, GitHub annotations
plan_text    a plan for a terminal
state        the state, and the history of one id, as text and JSON
notices      sinks for what happens during a run: JSON lines, plain lines, a live display
summary      what came of a run
html         a plan, the state and the history of one id as pages, each one self-contained file
"""
