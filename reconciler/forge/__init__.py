"""What pipelines tell people on a forge: one comment on a pull request, one note on a merge request, one issue of
what is back.

surroundings  what the runner says in its environment: repository, token, event, address of the run
github        the API: pages, retries, errors that say what to do; the token never leaves it
comment       the one comment of a pull request as text, with a record of what was planned; pure
introduced    what a pull request adds to what was pending anyway, as text above its plan; pure
approval      which plan was approved, read from that record and from the reviews; pure
issue         the one issue of what is back as text; pure
outcome       what a run said, read from its JSON events
posting       finds, writes and updates the comment and the issue
gitlab        the API of GitLab, as `github` is that of GitHub
note          the one note of a merge request: where it belongs; finds, writes and updates it

Bodies are Markdown that others rendered, or text made harmless here, once. Markers are HTML comments, which a
forge keeps and does not show. A comment counts as ours by its marker and its author, never by the marker alone.
"""
