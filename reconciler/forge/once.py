"""What must stand once only: found by its marker and its author, or else created."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from reconciler.errors import ForgeError
from reconciler.forge.comment import Comment, parse

_TRIES = 3

Found = TypeVar("Found")
Created = TypeVar("Created")


def find_ours(
    items: Iterable[Mapping[str, Any]], name: str, author: str, who: tuple[str, str]
) -> tuple[int, Comment] | None:
    """Our comment among what a forge lists: its id and what it says. The first, should there be several.

    Args:
        name: tells the comments of several plans of one pull request apart.
        who: where an item says who wrote it; see `is_by`.
    """
    for each in items:
        if not is_by(each, author, who):
            continue
        found = parse(str(each.get("body") or ""), name)
        if found is not None:
            return int(each["id"]), found
    return None


def is_by(item: Mapping[str, Any], author: str, who: tuple[str, str]) -> bool:
    """Whether `author` wrote it: `who` is the key of a person in the item, and that of the name in the person."""
    person = item.get(who[0])
    return isinstance(person, dict) and person.get(who[1]) == author


def find_or_create(
    find: Callable[[], Found | None], create: Callable[[], Created]
) -> tuple[Found | None, Created | None]:
    """What is found and None; or None and what `create` returned.

    Raises:
        ForgeError: it could not be found, or not created.
    """
    for attempt in range(1, _TRIES + 1):
        found = find()
        if found is not None:
            return found, None
        try:
            return None, create()
        except ForgeError as failed:
            # It may be there all the same: looked for again, so that there are never two.
            if not failed.may_have_happened or attempt == _TRIES:
                raise
    raise AssertionError("the last attempt returns or raises")
