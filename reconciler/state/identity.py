"""Who runs this, and where: what a run says of itself in the log, without any secret."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Variables that hold the address of a CI job, other than GitHub's and Azure's, which are put together.
_JOB_VARIABLES = (
    "CI_JOB_URL",  # GitLab
    "BUILD_URL",  # Jenkins
    "CIRCLE_BUILD_URL",
    "BUILDKITE_BUILD_URL",
    "TRAVIS_JOB_WEB_URL",
    "DRONE_BUILD_LINK",
    "CI_BUILD_URL",
    "CI_PIPELINE_URL",
)

#: Variables that name the person or account behind a job, most telling first.
_ACTOR_VARIABLES = (
    "GITHUB_TRIGGERING_ACTOR",
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILD_USER_ID",
    "CIRCLE_USERNAME",
    "BUILDKITE_BUILD_CREATOR",
    "BUILD_REQUESTEDFOR",
    "USER",
    "LOGNAME",
)

_LONGEST = 256


class Who(TypedDict):
    """What `RunStarted` says of the process: `Run.start(..., **whoami(os.environ))`."""

    actor: str
    host: str
    boot_id: str
    pid: int
    job: str


def whoami(env: Mapping[str, str]) -> Who:
    """This process, from `env` and the machine. Never raises; what cannot be found out is ""."""
    return Who(
        actor=printable(next((env[name] for name in _ACTOR_VARIABLES if env.get(name)), _account())),
        host=printable(socket.gethostname()),
        boot_id=_boot_id(),
        pid=os.getpid(),
        job=_address(_job(env)),
    )


def printable(text: str, longest: int = _LONGEST) -> str:
    """`text` without control characters, line ends and marks that turn the reading direction; shortened."""
    return "".join(each for each in text if each.isprintable())[:longest]


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers often run under a number without a name
        return str(os.getuid())


def _boot_id() -> str:
    try:
        return printable(_BOOT_ID.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError):
        return ""


def _job(env: Mapping[str, str]) -> str:
    if env.get("GITHUB_RUN_ID") and env.get("GITHUB_REPOSITORY"):
        server = env.get("GITHUB_SERVER_URL") or "https://github.com"
        attempt = env.get("GITHUB_RUN_ATTEMPT", "")
        address = f"{server}/{env['GITHUB_REPOSITORY']}/actions/runs/{env['GITHUB_RUN_ID']}"
        return f"{address}/attempts/{attempt}" if attempt else address
    if env.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI") and env.get("BUILD_BUILDID"):
        project = env.get("SYSTEM_TEAMPROJECT", "")
        return f"{env['SYSTEM_TEAMFOUNDATIONCOLLECTIONURI']}{project}/_build/results/{env['BUILD_BUILDID']}"
    return next((env[name] for name in _JOB_VARIABLES if env.get(name)), "")


def _address(url: str) -> str:
    """An http(s) address without what could be a credential: user, password, query, fragment. Else ""."""
    try:
        parts = urlsplit(printable(url, 2048))
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"[:_LONGEST]
