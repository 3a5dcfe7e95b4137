"""Plans and states as pages for people who want to look: one self-contained file each.

page    what holds for every page: escaping, the Content-Security-Policy, ASCII
ids     the ids that a page carries for its filter
groups  ids folded by what they begin with
charts  how much happens where, as bars
plan    a plan
state   the state, and the history of one id

`templates` and `assets` hold the markup, the style and the script.
"""

from reconciler.render.html.plan import plan_page
from reconciler.render.html.state import history_page, state_page

__all__ = ["history_page", "plan_page", "state_page"]
