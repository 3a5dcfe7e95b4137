"""wrangler, Cloudflare's own command line, against the emulator.

It is installed once, by npm, into a directory outside the repository (see support.npm). Without npm or Node 20 the
tests skip; in CI they fail instead.
"""

import json
import os
import re
import subprocess

import pytest

from reconciler.emulator import Fault
from support.npm import package

pytestmark = [pytest.mark.compat, pytest.mark.timeout(300)]  # the first run downloads wrangler

VERSION = "4.86.0"
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def program():
    """The path of wrangler's start script."""
    return package("wrangler", VERSION, node=20) / "bin" / "wrangler.js"


@pytest.fixture
def wrangler(program, server, tmp_path):
    """Run one `wrangler vectorize` command; its exit code and everything it wrote."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),  # no settings, no login of the person who runs the tests
        "CLOUDFLARE_API_BASE_URL": server.base_url,
        "CLOUDFLARE_API_TOKEN": "t",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CI": "1",
        "NO_COLOR": "1",
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_HIDE_BANNER": "true",
    }

    def run(*arguments):
        done = subprocess.run(
            ["node", str(program), "vectorize", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def ok(outcome):
    code, output = outcome
    assert code == 0, output
    return output


def json_in(output):
    """The JSON value that a command printed, whatever stands around it."""
    start = min(position for position in (output.find("{"), output.find("[")) if position >= 0)
    return json.JSONDecoder().raw_decode(output[start:])[0]


def write(path, *vectors):
    path.write_text("\n".join(json.dumps(vector) for vector in vectors))
    return str(path)


def vector(vector_id, first=1.0, **more):
    return {"id": vector_id, "values": [first, *[1.0] * 31], **more}


def test_the_life_of_an_index(wrangler, server):
    assert "docs" in ok(wrangler("create", "docs", "--dimensions=32", "--metric=cosine"))
    assert json_in(ok(wrangler("get", "docs", "--json")))["config"] == {"dimensions": 32, "metric": "cosine"}
    assert [each["name"] for each in json_in(ok(wrangler("list", "--json")))] == ["docs"]
    ok(wrangler("create-metadata-index", "docs", "--propertyName=kind", "--type=string"))
    listed = json_in(ok(wrangler("list-metadata-index", "docs", "--json")))
    assert listed == [{"propertyName": "kind", "indexType": "string"}]
    ok(wrangler("delete-metadata-index", "docs", "--propertyName=kind"))
    ok(wrangler("delete", "docs", "--force"))
    assert server.emulator.indexes() == []


def test_vectors_are_written_listed_read_queried_and_deleted(wrangler, server, tmp_path):
    server.emulator.create_index(ACCOUNT, "docs")
    vectors = [vector(f"id-{number}", number) for number in range(3)]
    output = ok(wrangler("upsert", "docs", "--file", write(tmp_path / "a.ndjson", *vectors)))
    [upserted] = [entry.mutation_id for entry in server.emulator.record(operation="upsert")]
    assert re.findall(UUID, output) == [upserted]
    ok(wrangler("insert", "docs", "--file", write(tmp_path / "b.ndjson", vector("id-0", 9.0), vector("new"))))

    page = json_in(ok(wrangler("list-vectors", "docs", "--count=3", "--json")))
    assert [each["id"] for each in page["vectors"]] == ["id-0", "id-1", "id-2"]
    assert page["isTruncated"]
    rest = json_in(ok(wrangler("list-vectors", "docs", "--json", "--cursor", page["nextCursor"])))
    assert [each["id"] for each in rest["vectors"]] == ["new"]

    read = json_in(ok(wrangler("get-vectors", "docs", "--ids", "id-0", "absent")))
    assert [(each["id"], each["values"][0]) for each in read] == [("id-0", 0.0)]
    answer = json_in(ok(wrangler("query", "docs", "--vector-id=id-1", "--top-k=2")))
    assert (answer["count"], answer["matches"][0]["id"]) == (2, "id-1")

    output = ok(wrangler("delete-vectors", "docs", "--ids", "id-0", "id-1"))
    [deleted] = [entry.mutation_id for entry in server.emulator.record(operation="delete_by_ids")]
    assert deleted in output
    info = json_in(ok(wrangler("info", "docs", "--json")))
    assert (info["processedUpToMutation"], info["vectorCount"]) == (deleted, 2)


def test_errors_are_shown_with_their_code_and_message(wrangler, server):
    code, output = wrangler("info", "docs")
    assert code != 0
    assert "code: 3000" in output
    server.emulator.seed(ACCOUNT, "docs", ["a"])
    server.emulator.faults.add(Fault(kind="id_limit", limit=1))
    code, output = wrangler("delete-vectors", "docs", "--ids", "a", "b")
    assert code != 0
    assert "too many ids in payload; max id count is 1, got 2" in output
    assert "code: 40007" in output
