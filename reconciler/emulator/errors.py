"""The errors of the API: one exception, the known codes, and a constructor for each refusal.

Messages follow what the live service was seen to say where that is known. Two codes here are not
Cloudflare's: `INVALID_REQUEST` and `CURSOR_INVALID` stand for refusals whose real code nobody has published.
They are chosen outside the known ones so that no client comes to rely on them.
"""

from collections.abc import Mapping
from typing import Any

AUTHENTICATION = 10000
MISSING_CREDENTIALS = 9106
UNKNOWN_KEY = 9103
ACCOUNT_NOT_AUTHORIZED = 7403
MALFORMED_HEADERS = 6003
MALFORMED_AUTHORIZATION = 6103
NO_ROUTE = 7003
NO_ROUTE_FOR_URI = 7000
METHOD_NOT_AVAILABLE = 7001
RATE_LIMITED = 971
INTERNAL = 10001
INDEX_NOT_FOUND = 3000
BAD_NAME = 3001
DUPLICATE_NAME = 3002
BAD_CONFIG = 3003
INDEX_DELETED = 3005
METADATA_INDEX_NOT_FOUND = 40005
WRONG_QUERY_DIMENSIONS = 40006
TOO_MANY_IDS = 40007
ID_TOO_LONG = 40008
WRONG_VECTOR_DIMENSIONS = 40012
METADATA_TOO_BIG = 40016
NDJSON_PARSE = 40023
TOP_K_TOO_BIG = 40025
NOT_JSON = 40026
MUTATIONS_THROTTLED = 40041
MULTIPART_WITHOUT_VECTORS = 40045
INVALID_REQUEST = 40000
CURSOR_INVALID = 40099


class ApiError(Exception):
    """A refusal: an HTTP status and the `errors` of the envelope.

    Args:
        status: HTTP status of the answer.
        code: Cloudflare's code, at least 1000 unless it is 971.
        message: Text for people.
        chain: `error_chain` of the first error: (code, message) pairs.
        more: further errors of the same answer: (code, message) pairs.
        headers: extra response headers, such as `retry-after`.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        chain: tuple[tuple[int, str], ...] = (),
        more: tuple[tuple[int, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.chain = chain
        self.more = more
        self.headers = dict(headers or {})

    def errors(self) -> list[dict[str, Any]]:
        """The `errors` array of the envelope."""
        first: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.chain:
            first["error_chain"] = [{"code": code, "message": message} for code, message in self.chain]
        return [first, *({"code": code, "message": message} for code, message in self.more)]


def envelope(
    result: Any,
    *,
    errors: list[dict[str, Any]] | None = None,
    messages: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The v4 envelope around a result; `success` is the absence of errors."""
    return {"success": not errors, "errors": errors or [], "messages": messages or [], "result": result}


def invalid(message: str, *, status: int = 400) -> ApiError:
    """A refusal whose real code is unknown."""
    return ApiError(status, INVALID_REQUEST, message)


def no_route(path: str) -> ApiError:
    """A path that names no operation, or an account id that is not 32 hexadecimal digits."""
    return ApiError(
        404,
        NO_ROUTE,
        f"Could not route to {path}, perhaps your object identifier is invalid?",
        more=((NO_ROUTE_FOR_URI, "No route for that URI"),),
    )


def method_not_available(method: str) -> ApiError:
    """A known path with another method."""
    return ApiError(405, METHOD_NOT_AVAILABLE, f"Method {method} not available for that URI.")


def not_json() -> ApiError:
    """A JSON operation whose body or content type is something else."""
    return ApiError(400, NOT_JSON, "Expected request with `Content-Type: application/json`")


def too_many_ids(maximum: int, got: int) -> ApiError:
    """More ids than one request may carry; nothing of the request is done."""
    return ApiError(400, TOO_MANY_IDS, f"too many ids in payload; max id count is {maximum}, got {got}")


def id_too_long(maximum: int, got: int) -> ApiError:
    """An id of more bytes than allowed."""
    return ApiError(400, ID_TOO_LONG, f"id too long; max is {maximum} bytes, got {got} bytes")


def index_not_found(name: str, status: int) -> ApiError:
    """A name that never was an index of this account."""
    return ApiError(status, INDEX_NOT_FOUND, f'vectorize.index.not_found - Index name "{name}"')


def index_deleted(name: str, status: int) -> ApiError:
    """A name whose index was deleted and not created again."""
    return ApiError(status, INDEX_DELETED, f'vectorize.index.deleted - Index name "{name}"')


def ndjson_parse(line: int, reason: str) -> ApiError:
    """A line of an upload that is not a vector. Lines count from 0, as the service counts them."""
    return ApiError(
        400,
        NDJSON_PARSE,
        "failed to parse upsert vectors request in ndjson format: "
        f"line Some({line}) was not expected format: {reason}",
    )


def rate_limited(retry_after: float | str) -> ApiError:
    """Past the budget. `retry_after` is seconds or an HTTP date, as it goes into the header."""
    return ApiError(
        429,
        RATE_LIMITED,
        "Please wait and consider throttling your request speed",
        headers={"retry-after": str(retry_after)},
    )
