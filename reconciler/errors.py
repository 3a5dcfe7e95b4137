"""Every error the program raises on purpose, grouped by who can act on it.

    ReconcilerError                     exit code
    ├── UsageError                      1    the person at the prompt: a flag, an environment variable
    ├── ManifestError                   1    the author of a manifest or of reconciler.yaml
    ├── PlanFileError                   1    whoever produced the plan file
    ├── PlanRefused                     3    the author: a limit or a keep forbids the plan
    ├── PlanStale                       6    the approver: what was approved is not what would be done
    ├── StateError                      1    the operator of the state
    │   ├── StateMissing                1
    │   ├── StateDamaged                1    an acknowledged frame does not verify
    │   ├── StateTooNew                 1    written by a newer version: readable, not writable
    │   ├── StateMismatch               1    another origin, account or lineage than asked for
    │   ├── StoreUnavailable            1    the store cannot be read or written
    │   │   └── UnsavedOutcomes         1    outcomes are in a file of their own
    │   ├── StateHeld                   5    another run holds the state
    │   └── RunFenced                   5    another run has taken the state over
    ├── ServiceError                    1    the API said no, or nothing
    │   ├── AuthenticationFailed        1    no token, or a wrong one
    │   ├── PermissionDenied            1    a token without the permission
    │   ├── IndexNotFound               1    3000 / 3005: misspelt, or gone
    │   ├── RequestRejected             1    the request will never be accepted
    │   │   └── TooManyIds              1    40007, with the maximum the service states
    │   ├── Throttled                   1    429, 971 or 40041: try later
    │   ├── ServiceFault                1    5xx, or an answer that is not the API's
    │   └── ConnectionFailed            1    no answer: refused, cut, timed out
    ├── CacheDamaged                    1    a derived file does not hold what was written: run again
    ├── ForgeError                      1    GitHub or GitLab said no, or nothing: a comment was not written
    └── Interrupted                     130  Ctrl-C, SIGTERM, SIGHUP

An error carries a one-line message (what happened, and where) and a `hint` (what to do next).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line. They are a public contract and do not change."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    FOUND = 4
    HELD = 5
    STALE = 6
    NOT_SETTLED = 7
    INTERRUPTED = 130


#: When several hold at once, the first of these is the one reported.
EXIT_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.HELD,
    ExitCode.ERROR,
    ExitCode.STALE,
    ExitCode.REFUSED,
    ExitCode.FOUND,
    ExitCode.NOT_SETTLED,
    ExitCode.CHANGES,
    ExitCode.DONE,
)


def worst_exit_code(*codes: ExitCode) -> ExitCode:
    """The exit code to report when all of `codes` hold; DONE when none is given."""
    return min(codes, key=EXIT_PRECEDENCE.index, default=ExitCode.DONE)


class ReconcilerError(Exception):
    """Base of every deliberate error. `hint` says what the reader can do next; it may be empty."""

    exit_code = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReconcilerError):
    """A flag, argument or environment variable is missing or wrong."""


class ManifestError(ReconcilerError):
    """Manifests or configuration that cannot be used; `diagnostics` (model.Diagnostic) say where."""

    def __init__(self, message: str, *, hint: str = "", diagnostics: tuple[object, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = diagnostics


class PlanFileError(ReconcilerError):
    """A plan file that cannot be read, is of an unknown major version, or does not fit its schema."""


class PlanRefused(ReconcilerError):
    """A limit is exceeded or a kept id is declared absent: nothing is sent.

    `diagnostics` as in ManifestError; `plan` (model.Plan) is what was refused, so that it can be shown, None
    when it is only a part of one.
    """

    exit_code = ExitCode.REFUSED

    def __init__(
        self, message: str, *, hint: str = "", diagnostics: tuple[object, ...] = (), plan: object = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = diagnostics
        self.plan = plan


class PlanStale(ReconcilerError):
    """A saved or approved plan no longer holds. `differences` are lines that people read."""

    exit_code = ExitCode.STALE

    def __init__(self, message: str, *, hint: str = "", differences: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.differences = differences


class StateError(ReconcilerError):
    """The state cannot be used as asked."""


class CacheDamaged(ReconcilerError):
    """What was derived and put aside, in a file of the cache or a scratch file, is not there as it was written."""


class StateMissing(StateError):
    """There is no state where one is required."""


class StateDamaged(StateError):
    """A frame of the log does not verify. Never skipped, never repaired silently."""


class StateTooNew(StateError):
    """The log holds events this version does not know: it may be read, not written."""


class StateMismatch(StateError):
    """The log belongs to another API origin, account or lineage."""


class StoreUnavailable(StateError):
    """The store cannot be reached, read or written."""


class UnsavedOutcomes(StoreUnavailable):
    """The store failed in the middle of a run; `path` (mode 0600) keeps what could not be recorded."""

    def __init__(self, message: str, *, hint: str = "", path: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class StateHeld(StateError):
    """Another run holds the state."""

    exit_code = ExitCode.HELD


class RunFenced(StateError):
    """This run was taken over by another and may not send anything more."""

    exit_code = ExitCode.HELD


class ServiceError(ReconcilerError):
    """The API refused, failed or did not answer.

    Attributes:
        code: the service's error code (>= 1000, or 971), None when it gave none.
        status: the HTTP status, None when no answer arrived.
        may_have_been_accepted: True when the request may have taken effect all the same.
        retry_after: seconds the service asks to wait, None when it did not say.
        passing: True when the same request may succeed later.
    """

    passing = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: int | None = None,
        status: int | None = None,
        may_have_been_accepted: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status
        self.may_have_been_accepted = may_have_been_accepted
        self.retry_after = retry_after


class AuthenticationFailed(ServiceError):
    """No credentials, or credentials the service does not accept (401; 10000, 9106, 9109, 6003)."""


class PermissionDenied(ServiceError):
    """The credentials lack a permission (403; 7403)."""


class IndexNotFound(ServiceError):
    """3000 or 3005. A misspelt name looks the same as a deleted index: reported, never success."""


class RequestRejected(ServiceError):
    """The service will never accept this request."""


class TooManyIds(RequestRejected):
    """40007. `maximum` is the number of ids the service states as its limit, None if it did not."""

    def __init__(
        self,
        message: str,
        *,
        maximum: int | None,
        hint: str = "",
        code: int | None = 40007,
        status: int | None = 400,
    ) -> None:
        super().__init__(message, hint=hint, code=code, status=status)
        self.maximum = maximum


class Throttled(ServiceError):
    """The account's or the index's rate limit: 429, 971 or 40041."""

    passing = True


class ServiceFault(ServiceError):
    """5xx, 408, or an answer that is not the API's: not JSON, truncated, of another shape."""

    passing = True


class ConnectionFailed(ServiceError):
    """No answer arrived: refused, cut or timed out."""

    passing = True


class ForgeError(ReconcilerError):
    """The forge (GitHub, GitLab) refused, failed or did not answer.

    Attributes:
        status: the HTTP status, None when no answer arrived.
        may_have_happened: True when what was asked for may have been done all the same.
    """

    def __init__(
        self, message: str, *, hint: str = "", status: int | None = None, may_have_happened: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.may_have_happened = may_have_happened


class Interrupted(ReconcilerError):
    """Ctrl-C, SIGTERM or SIGHUP."""

    exit_code = ExitCode.INTERRUPTED
