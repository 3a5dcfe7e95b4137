"""Who asks, and what they may do: Bearer tokens and the older pair X-Auth-Email + X-Auth-Key.

Credentials are compared and then forgotten: what leaves this module is a role and a digest that only tells one
credential from another (the rate limit counts per credential).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.emulator import errors
from reconciler.emulator.errors import ApiError
from reconciler.emulator.settings import Role, Settings

_BEARER = re.compile(r"[Bb]earer ([\x21-\x7e]+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """A credential that was accepted: what it may do, and a digest that names it."""

    role: Role
    digest: str


def authenticate(headers: Mapping[str, str], settings: Settings) -> Identity:
    """The identity behind a request's headers (names in lower case).

    Raises:
        ApiError: 9106 without credentials (status 400, as the live API answers), 6003 with chain 6103 and status
            400 for an Authorization header of another shape, 10000 with 401 for an unknown token, 9103 with 403
            for an unknown key.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        return _bearer(authorization, settings)
    email, key = headers.get("x-auth-email"), headers.get("x-auth-key")
    if not email or not key:
        raise ApiError(
            400, errors.MISSING_CREDENTIALS, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
        )
    role: Role | None = "write" if settings.keys is None else settings.keys.get((email, key))
    if role is None:
        raise ApiError(403, errors.UNKNOWN_KEY, "Unknown X-Auth-Key or X-Auth-Email")
    return Identity(role, _digest(email, key))


def authorize(identity: Identity, account: str, *, write: bool, settings: Settings) -> None:
    """Refuse an account that the credential does not reach, and a write with a read token.

    Raises:
        ApiError: 7403 with 403 for the account, 10000 with 403 for the missing permission.
    """
    if settings.accounts is not None and account not in settings.accounts:
        raise ApiError(
            403,
            errors.ACCOUNT_NOT_AUTHORIZED,
            "The given account is not valid or is not authorized to access this service",
        )
    if write and identity.role != "write":
        raise ApiError(403, errors.AUTHENTICATION, "Authentication error")


def _bearer(authorization: str, settings: Settings) -> Identity:
    matched = _BEARER.fullmatch(authorization)
    if matched is None:
        raise ApiError(
            400,
            errors.MALFORMED_HEADERS,
            "Invalid request headers",
            chain=((errors.MALFORMED_AUTHORIZATION, "Invalid format for Authorization header"),),
        )
    token = matched.group(1)
    role: Role | None = "write" if settings.tokens is None else settings.tokens.get(token)
    if role is None:
        raise ApiError(401, errors.AUTHENTICATION, "Authentication error")
    return Identity(role, _digest(token))


def _digest(*secrets: str) -> str:
    return hashlib.sha256("\0".join(secrets).encode()).hexdigest()
