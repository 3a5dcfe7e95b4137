"""A runner of GitHub workflows and composite actions, as much as those of this repository use.

It reads the real files, resolves `${{ }}` as GitHub does, and runs every `run` with bash in the environment that
GitHub documents. Of other actions it knows two, by what they do: actions/checkout clones the bare repository it is
given, actions/upload-artifact hands a file to the forge. The token of a job may do what its `permissions` say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support.expressions import Evaluator
from support.forge import Forge

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "action.yml"


@dataclass
class Ended:
    """How a step, an action or a job ended. `log` is all that a person could read of it."""

    outputs: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    log: str = ""
    ran: list[str] = field(default_factory=list)  # names of the steps that were not skipped


@dataclass
class Runner:
    """One machine for one job.

    Attributes:
        folder: of this runner alone: workspace, temporary folder, tools.
        event_name, event, ref, sha: what happened.
        origin: the bare repository that actions/checkout clones; None where the workspace is filled by the test.
        secrets: by name. They must never be read in `log`.
    """

    folder: Path
    forge: Forge
    event_name: str = "pull_request"
    event: dict[str, Any] = field(default_factory=dict)
    ref: str = "refs/pull/7/merge"
    sha: str = "a" * 40
    origin: Path | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    vars: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    run_id: int = 4711
    install: bool = False
    summary: str = ""

    def __post_init__(self) -> None:
        for name in ("workspace", "temp", "files", "bin", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.event.setdefault("repository", {"default_branch": "main", "full_name": self.forge.repository})
        program = self.folder / "bin" / "reconciler"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from reconciler.cli import main; main()" "$@"\n')
        program.chmod(0o755)
        self._files = 0

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def run_workflow(self, path: Path) -> dict[str, Ended]:
        """Every job whose `if` holds, in the order of the file."""
        workflow = yaml.safe_load(path.read_text())
        ended: dict[str, Ended] = {}
        for name, job in workflow["jobs"].items():
            evaluator = Evaluator(self._contexts({}, {}), _status(failed=False))
            if evaluator.condition(job.get("if")):
                ended[name] = self.run_job({"permissions": workflow.get("permissions", {}), **job})
        return ended

    def run_job(self, job: Mapping[str, Any]) -> Ended:
        permissions = job["permissions"]
        token = self.forge.tokens[self.forge.token]
        token.may = frozenset(name for name, level in permissions.items() if level == "write")
        token.may_read = frozenset(permissions)
        variables = {**self.environment, **{k: str(v) for k, v in (job.get("env") or {}).items()}}
        return self._steps(job["steps"], {}, variables)

    def run_action(self, env: Mapping[str, str] | None = None, /, **inputs: str) -> Ended:
        """This repository's action; underscores in names stand for dashes."""
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self._action(given, {**self.environment, **(env or {})})

    # Steps.

    def _steps(
        self, steps: list[dict[str, Any]], inputs: Mapping[str, str], variables: Mapping[str, str]
    ) -> Ended:
        whole = Ended()
        known: dict[str, Any] = {}
        for step in steps:
            evaluator = Evaluator(self._contexts(inputs, known, variables), _status(failed=whole.failed))
            if not evaluator.condition(step.get("if")):
                if "id" in step:
                    known[step["id"]] = {"outputs": {}, "outcome": "skipped", "conclusion": "skipped"}
                continue
            whole.ran.append(step.get("id") or step.get("name") or step.get("uses") or "")
            env = {**variables, **{k: evaluator.text(v) for k, v in (step.get("env") or {}).items()}}
            ended = self._uses(step, evaluator, env) if "uses" in step else self._run(step, evaluator, env)
            outcome = "failure" if ended.failed else "success"
            whole.failed = whole.failed or (ended.failed and not step.get("continue-on-error"))
            whole.log += ended.log
            if "id" in step:
                known[step["id"]] = {"outputs": ended.outputs, "outcome": outcome, "conclusion": outcome}
            whole.outputs |= {f"{step.get('id', '')}.{name}": value for name, value in ended.outputs.items()}
        self._known = known
        return whole

    def _uses(self, step: Mapping[str, Any], evaluator: Evaluator, env: Mapping[str, str]) -> Ended:
        action = step["uses"].partition("@")[0]
        given = {name: evaluator.text(value) for name, value in (step.get("with") or {}).items()}
        if action == "actions/checkout":
            return self._checkout(given)
        if action == "actions/upload-artifact":
            path = Path(given["path"])
            self.forge.upload(given["name"], path.read_bytes(), file=path.name)
            return Ended()
        assert action.endswith("/vectorize-reconciler") or action == "./", f"unknown action: {action}"
        return self._action(given, env)

    def _checkout(self, given: Mapping[str, str]) -> Ended:
        assert self.origin is not None
        assert given.get("persist-credentials") == "false"
        git = ["git", "-C", str(self.workspace)]
        for command in (
            ["git", "init", "--quiet", str(self.workspace)],
            [*git, "remote", "add", "origin", str(self.origin)],
            [*git, "fetch", "--quiet", "--depth=1", "origin", self.sha],
            [*git, "checkout", "--quiet", "--detach", "FETCH_HEAD"],
        ):
            subprocess.run(command, check=True, capture_output=True)
        return Ended()

    def _action(self, given: Mapping[str, str], env: Mapping[str, str]) -> Ended:
        action = yaml.safe_load(ACTION.read_text())
        assert set(given) <= set(action["inputs"]), f"no such input: {set(given) - set(action['inputs'])}"
        defaults = Evaluator(self._contexts({}, {}), _status(failed=False))
        inputs = {name: defaults.text(each.get("default", "")) for name, each in action["inputs"].items()} | given
        required = [name for name, each in action["inputs"].items() if each.get("required")]
        assert all(inputs[name] for name in required)
        if not self.install:
            inputs["install"] = "false"
        ended = self._steps(action["runs"]["steps"], inputs, env)
        contexts = self._contexts(inputs, self._known)
        evaluator = Evaluator(contexts, _status(failed=ended.failed))
        ended.outputs = {name: evaluator.text(each["value"]) for name, each in action["outputs"].items()}
        return ended

    def _run(self, step: Mapping[str, Any], evaluator: Evaluator, env: Mapping[str, str]) -> Ended:
        assert "${{" not in step["run"], "nothing is ever interpolated into a script"
        assert step.get("shell", "bash") == "bash"
        self._files += 1
        files = {name: self.folder / "files" / f"{name}-{self._files}" for name in ("output", "summary", "script")}
        for file in files.values():
            file.touch()
        files["script"].write_text(step["run"])
        folder = self.workspace / evaluator.text(step.get("working-directory", "."))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(files["script"])],
            cwd=folder, env={**self._base(), **self._variables(files), **env}, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.summary += files["summary"].read_text()
        return Ended(dict(read_outputs(files["output"].read_text())), done.returncode != 0, done.stdout)

    # What steps can see.

    def _base(self) -> dict[str, str]:
        """What a runner's machine has: nothing of whoever runs the tests."""
        path = f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        kept = {
            name: os.environ[name]
            for name in (
                "PIP_INDEX_URL",
                "PIP_EXTRA_INDEX_URL",
                "PIP_CONFIG_FILE",
                "PIP_FIND_LINKS",
                "SSL_CERT_FILE",
            )
            if name in os.environ
        }
        return {
            **kept,
            "PATH": path,
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def _variables(self, files: Mapping[str, Path]) -> dict[str, str]:
        event = self.folder / "files" / "event.json"
        event.write_text(json.dumps(self.event))
        return {
            "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": self.forge.url, "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": self.forge.repository, "GITHUB_EVENT_NAME": self.event_name,
            "GITHUB_EVENT_PATH": str(event), "GITHUB_REF": self.ref, "GITHUB_SHA": self.sha,
            "GITHUB_RUN_ID": str(self.run_id), "GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "alice",
            "GITHUB_WORKSPACE": str(self.workspace), "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_OUTPUT": str(files["output"]), "GITHUB_STEP_SUMMARY": str(files["summary"]),
        }  # fmt: skip

    def _contexts(
        self, inputs: Mapping[str, str], steps: Mapping[str, Any], env: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        github = {
            "token": self.forge.token, "event_name": self.event_name, "event": self.event, "ref": self.ref,
            "sha": self.sha, "repository": self.forge.repository, "run_id": str(self.run_id),
        }  # fmt: skip
        return {
            "github": github,
            "inputs": inputs or self.inputs,
            "steps": steps,
            "secrets": self.secrets,
            "vars": self.vars,
            "env": dict(env or {}),
        }


def _status(*, failed: bool) -> dict[str, bool]:
    return {"always": True, "success": not failed, "failure": failed, "cancelled": False}


def read_outputs(text: str) -> Iterator[tuple[str, str]]:
    """NAME=VALUE lines, and values of several lines between delimiters."""
    lines = iter(text.splitlines())
    for line in lines:
        name, mark, delimiter = line.partition("<<")
        if mark and "=" not in name:
            value = []
            for part in lines:
                if part == delimiter:
                    break
                value.append(part)
            yield name, "\n".join(value)
        else:
            name, mark, value_ = line.partition("=")
            assert mark, f"not an output: {line!r}"
            yield name, value_
