"""`reconciler init`: a first manifest, a configuration, a pipeline and a commit hook beside code that is there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli import output
from reconciler.errors import ExitCode, ManifestError, UsageError
from reconciler.resources import scaffold, schema_text

_PACKAGE = "vectorize-reconciler"
_STATE_BRANCH = "reconciler-state"

#: Actions of GitHub's own that the workflow uses, by commit: checkout v7.0.1, upload-artifact v7.0.0.
_CHECKOUT = "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
_UPLOAD = "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0"

#: Stands for what nobody knows but the reader: whose copy of the action is to be trusted.
_UNKNOWN_ACTION = f"OWNER/{_PACKAGE}@{'0' * 40}"

_SOURCE = re.compile(r"(?:https://github\.com/)?([\w.-]+/[\w.-]+?)(?:\.git)?@([0-9a-f]{40})", re.ASCII)


@click.command(
    epilog="""\b
Examples:
  reconciler init
  reconciler init --ci github --pre-commit
  reconciler init --ci gitlab
"""
)
@click.option("--ci", type=click.Choice(["github", "gitlab"]), help="Write a pipeline, too.")
@click.option("--pre-commit", "hook", is_flag=True, help="Write the configuration of a pre-commit hook, too.")
@click.option(
    "--source",
    metavar="OWNER/REPO@COMMIT",
    help="The repository on GitHub that the action and the hook are taken from, and the commit in full (default: "
    "where this program was installed from, if it was from there).",
)
def init(*, ci: str | None, hook: bool, source: str | None) -> int:
    """Set up a repository that has code already: manifests, configuration, a pipeline, a commit hook.

    Overwrites nothing: what is there stays, and what would have to be added to it is printed. The first manifest
    declares nothing, so nothing is deleted before you write down what.
    """
    here = Path.cwd()
    chosen = _source(source)
    if ci or hook:
        _require_top(here)
    writer = _Writer(here)
    folder = _manifests(writer)
    ignored = scaffold("gitignore")
    writer.write(".gitignore", ignored, "so that no state and no plan is committed by accident", snippet=ignored)
    branch = _default_branch(here)
    if ci == "github":
        text = _workflow(folder, branch, chosen)
        writer.write(".github/workflows/reconciler.yml", text, "plan, apply and verify on GitHub")
    if ci == "gitlab":
        text = _gitlab(chosen)
        writer.write(".gitlab-ci.yml", text, "plan, apply and verify on GitLab", snippet=text)
    if hook:
        snippet = _hook(folder, chosen)
        whole = scaffold("pre-commit-config.yaml").replace("@HOOK@\n", snippet)
        writer.write(".pre-commit-config.yaml", whole, "validates before every commit", snippet=snippet)
    told = writer.told if writer.told[-1] == "" else [*writer.told, ""]
    output.tell(*told, *_next_steps(folder, branch, ci, chosen, hook=hook))
    return ExitCode.DONE


@dataclass
class _Source:
    """OWNER/REPO on GitHub, and a commit of it in full."""

    repository: str
    commit: str


class _Writer:
    """Writes files that are not there, and remembers what to say."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.told: list[str] = []

    def write(self, name: str, text: str, purpose: str, *, snippet: str = "") -> None:
        """Write `text`, or say what to add to what is there: `snippet`, if that makes sense for such a file.

        Raises:
            UsageError: it cannot be written.
        """
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:  # never over anything, a symbolic link included
                file.write(text)
        except FileExistsError:
            self._there(path, name, text, snippet)
            return
        except OSError as failed:
            raise UsageError(f"{name} cannot be written: {failed.strerror}") from None
        self.told.append(f"wrote  {name}  ({purpose})")

    def _there(self, path: Path, name: str, text: str, snippet: str) -> None:
        try:
            there = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            there = ""
        lines = there.splitlines()
        if there == text or (snippet and all(each in lines for each in snippet.splitlines())):
            self.told.append(f"kept   {name}  (it has all of this already)")
            return
        if not snippet:
            self.told.append(
                f"kept   {name}  (yours, or of another version: take it away to have it written anew)"
            )
            return
        indented = (f"    {each}" if each else "" for each in snippet.splitlines())
        self.told += [f"kept   {name}  (yours; add to it:)", "", *indented, ""]


def _manifests(writer: _Writer) -> str:
    """Write schemas, configuration and the first manifest; returns the folder of the manifests."""
    from reconciler.manifests import load_config
    from reconciler.model.diagnostic import Diagnostic, has_errors
    from reconciler.render.escape import line, plain

    here = Path.cwd()
    settings, diagnostics = load_config(None, root=here)
    if has_errors(diagnostics):
        found: tuple[Diagnostic, ...] = diagnostics
        raise ManifestError("reconciler.yaml is there, and cannot be used", diagnostics=found)
    _require_simple(settings.manifests[0])
    for name in ("manifest", "config"):
        writer.write(f".reconciler/{name}.schema.json", schema_text(name), "for your editor")
    if settings.path is not None:
        folder = settings.manifests[0].rstrip("/")
        writer.told.append(f"kept   {settings.path}  (its manifests: {line(', '.join(settings.manifests))})")
    else:
        # Folders of this name often hold what is meant for Kubernetes.
        folder = "erasures" if _yaml_files(here / "manifests") else "manifests"
        text = scaffold("reconciler.yaml").replace("@FOLDER@", folder)
        writer.write("reconciler.yaml", text, "limits, and where the manifests are")
    if folder.endswith((".yaml", ".yml")) or _yaml_files(here / folder):
        writer.told.append(f"kept   {plain(folder)}  (there are manifests already)")
        return folder
    up = "../" * len(Path(folder).parts)
    text = scaffold("manifest.yaml").replace("@TO_ROOT@", up)
    writer.write(f"{folder}/erasures.yaml", text, "the first manifest: it declares nothing yet")
    return folder


def _require_simple(folder: str) -> None:
    """What is written names the folder, in YAML and in a pattern, and is written into it.

    Raises:
        UsageError: it is not in this repository, or its name would mean something else there.
    """
    parts = Path(folder).parts
    if Path(folder).is_absolute() or ".." in parts or not re.fullmatch(r"[\w ./-]{1,200}", folder):
        raise UsageError(
            "init cannot set up manifests in the folder that reconciler.yaml names",
            hint="It must be a folder below this one, of letters, digits, spaces, '.', '_', '-' and '/'.",
        )


def _yaml_files(folder: Path) -> bool:
    return any(True for ending in ("*.yaml", "*.yml") for _ in folder.rglob(ending))


def _workflow(folder: str, branch: str, source: _Source | None) -> str:
    text = scaffold("github-workflow.yml")
    values = {
        "FOLDER": folder,
        "BRANCH": branch,
        "STATE_BRANCH": _STATE_BRANCH,
        "CHECKOUT": _CHECKOUT,
        "UPLOAD": _UPLOAD,
        "ACTION": _UNKNOWN_ACTION if source is None else f"{source.repository}@{source.commit}",
    }
    return _filled(text, values)


def _gitlab(source: _Source | None) -> str:
    package = f"{_PACKAGE}[s3,postgres]"
    requirement = (
        f"{package}=={__version__}"
        if source is None
        else f"{package} @ git+https://github.com/{source.repository}@{source.commit}"
    )
    return _filled(scaffold("gitlab-ci.yml"), {"REQUIREMENT": requirement})


def _hook(folder: str, source: _Source | None) -> str:
    files = rf"^({re.escape(folder)}/|reconciler\.ya?ml$)"
    if source is not None:
        lines = [
            f"  - repo: https://github.com/{source.repository}",
            f"    rev: {source.commit}",
            "    hooks:",
            "      - id: reconciler-validate",
            f"        files: '{files}'",
        ]
    else:
        lines = [  # the program that is installed here
            "  - repo: local",
            "    hooks:",
            "      - id: reconciler-validate",
            "        name: validate manifests of vector ids",
            "        entry: reconciler validate",
            "        language: system",
            "        pass_filenames: false",
            f"        files: '{files}'",
        ]
    return "".join(f"{each}\n" for each in lines)


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _next_steps(folder: str, branch: str, ci: str | None, source: _Source | None, *, hook: bool) -> list[str]:
    steps = [
        f"Write down what must be absent in {folder}/, then: reconciler validate && reconciler plan",
    ]
    if ci == "github":
        if source is None:
            steps.append(
                f"In .github/workflows/reconciler.yml replace {_UNKNOWN_ACTION} by the repository and the commit "
                "of the action that you trust: until then GitHub refuses the workflow."
            )
        steps.append(
            f"Read the head of .github/workflows/reconciler.yml: a branch {_STATE_BRANCH} for the state, an "
            f"environment with the token, and a protected {branch}."
        )
    if ci == "gitlab":
        steps.append(
            "Read the head of .gitlab-ci.yml: where the state is, the tokens of Cloudflare and of the note, and "
            "who may press play."
        )
    if hook:
        steps.append("pre-commit install")
    names = " ".join(shlex.quote(each) for each in (".gitignore", ".reconciler", "reconciler.yaml", folder))
    steps.append(f"git add {names}, with whatever else was written, and commit.")
    from reconciler.render.escape import plain

    return ["Next:", *(f"  {number}. {plain(each)}" for number, each in enumerate(steps, 1))]


def _source(asked: str | None) -> _Source | None:
    """What was asked for, else where this program was installed from, if that is a commit on GitHub (PEP 610).

    Raises:
        UsageError: not OWNER/REPO@COMMIT.
    """
    if asked is not None:
        match = _SOURCE.fullmatch(asked)
        if match is None:
            raise UsageError("--source is OWNER/REPO@COMMIT, the commit in full: 40 hex digits")
        return _Source(match[1], match[2])
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        document = json.loads(distribution(_PACKAGE).read_text("direct_url.json") or "{}")
        match = _SOURCE.fullmatch(f"{document['url']}@{document['vcs_info']['commit_id']}")
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None
    return None if match is None else _Source(match[1], match[2])


def _require_top(here: Path) -> None:
    """Pipelines and hooks are looked for at the top of a repository.

    Raises:
        UsageError: `here` is below it.
    """
    top = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    if top != here:
        raise UsageError(
            "pipelines and hooks belong to the top of the repository, and this is a folder in it",
            hint=f"Run it in {top}; in the workflow, `working-directory` names a folder.",
        )


def _default_branch(here: Path) -> str:
    """The default branch as far as git's own files tell: what origin says, else main or master, else main."""
    git = here / ".git"
    try:
        head = (git / "refs/remotes/origin/HEAD").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        head = ""
    match = re.fullmatch(r"ref: refs/remotes/origin/([\w./-]{1,200})", head, re.ASCII)
    if match:
        return match[1]
    branches = [each for each in ("main", "master") if (git / "refs/heads" / each).exists()]
    return branches[0] if branches else "main"
