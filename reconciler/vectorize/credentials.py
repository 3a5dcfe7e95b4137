"""Who asks, and where: credentials and the base URL, both from the environment and never from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.errors import AuthenticationFailed, UsageError
from reconciler.model.target import DEFAULT_BASE_URL, is_loopback

TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of a variable
KEY_VARIABLE = "CLOUDFLARE_API_KEY"
EMAIL_VARIABLE = "CLOUDFLARE_EMAIL"

#: The SDKs' and Terraform's variable first, then wrangler's.
BASE_URL_VARIABLES = ("CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_BASE_URL")

_HOW_TO_AUTHENTICATE = f"set {TOKEN_VARIABLE}, or both {KEY_VARIABLE} and {EMAIL_VARIABLE}"
REDACTED = "[redacted]"

#: A shorter value is a placeholder of a test or of the emulator ("x"), and taking it out would take every
#: such letter out of every message.
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a request carries to be let in. Printing one shows its kind and nothing else.

    Attributes:
        kind: "token" (`Authorization: Bearer`) or "key" (`X-Auth-Email` and `X-Auth-Key`).
    """

    kind: str
    _secret: str
    _email: str = ""

    @classmethod
    def token(cls, token: str) -> Credentials:
        """An API token."""
        return cls("token", token)

    @classmethod
    def key(cls, key: str, email: str) -> Credentials:
        """The older pair: the account's global key and its e-mail address."""
        return cls("key", key, email)

    def headers(self) -> dict[str, str]:
        """The request headers that authenticate. Secret: never log them."""
        if self.kind == "token":
            return {"Authorization": f"Bearer {self._secret}"}
        return {"X-Auth-Email": self._email, "X-Auth-Key": self._secret}

    def redact(self, text: str) -> str:
        """`text` without the secrets: a server may echo what it was sent."""
        for secret in (self._secret, self._email):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, REDACTED)
        return text

    def __repr__(self) -> str:
        return f"<Credentials: {self.kind}>"


def credentials_from(env: Mapping[str, str]) -> Credentials:
    """The credentials in the environment; the token wins over the pair. An empty variable counts as unset.

    Raises:
        AuthenticationFailed: none, half of a pair, or a value that cannot be a header. Values are never shown.
    """
    if token := env.get(TOKEN_VARIABLE, ""):
        return Credentials.token(_checked(TOKEN_VARIABLE, token))
    key, email = env.get(KEY_VARIABLE, ""), env.get(EMAIL_VARIABLE, "")
    if key and email:
        return Credentials.key(_checked(KEY_VARIABLE, key), _checked(EMAIL_VARIABLE, email))
    if key or email:
        there, missing = (KEY_VARIABLE, EMAIL_VARIABLE) if key else (EMAIL_VARIABLE, KEY_VARIABLE)
        raise AuthenticationFailed(f"{there} is set, but {missing} is not", hint=_HOW_TO_AUTHENTICATE)
    raise AuthenticationFailed("no credentials in the environment", hint=_HOW_TO_AUTHENTICATE)


def _checked(variable: str, value: str) -> str:
    # A secret pasted with its line end is the common mistake; sent as it is, it would be an error of the
    # HTTP library whose text holds the secret.
    if value != value.strip():
        raise AuthenticationFailed(
            f"{variable} begins or ends with white space", hint="set it again without the spaces or the line end"
        )
    if not all("!" <= character <= "~" for character in value):
        raise AuthenticationFailed(
            f"{variable} holds characters that cannot be sent in a header",
            hint="copy it again: only visible ASCII characters belong there",
        )
    return value


def base_url_from(flag: str | None, env: Mapping[str, str]) -> str:
    """The API's base URL, without a slash at its end: the flag, CLOUDFLARE_BASE_URL, CLOUDFLARE_API_BASE_URL.

    Raises:
        UsageError: not a plain https URL (http passes for loopback, where the emulator runs).
    """
    if flag:
        return checked_base_url(flag, "the base URL")
    for variable in BASE_URL_VARIABLES:
        if value := env.get(variable, ""):
            return checked_base_url(value, variable)
    return DEFAULT_BASE_URL


def checked_base_url(url: str, source: str) -> str:
    """`url` without a slash at its end, if the credentials may be sent there. `source` names it in errors.

    The URL itself is never in the message: whoever put a password into it would find it in a log.
    """
    hint = f"it looks like {DEFAULT_BASE_URL}"
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise UsageError(f"{source} holds characters that do not belong in a URL", hint=hint)
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{source} is not a URL", hint=hint) from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{source} is not an https URL", hint=hint)
    if "@" in parts.netloc:
        raise UsageError(f"{source} holds a user name or a password", hint=_HOW_TO_AUTHENTICATE)
    if "?" in url or "#" in url:
        raise UsageError(f"{source} has a query or a fragment", hint=hint)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{source} is http, which would send the credentials in the clear", hint="use https")
    return url.rstrip("/")
