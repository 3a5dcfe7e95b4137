"""The configuration: what it says counts, and it cannot carry a secret or send a token elsewhere."""

from __future__ import annotations

import pytest

from reconciler.manifests import Config, load_config
from reconciler.model.limits import ApiSettings, IndexLimits, Limits

WHOLE = """\
version: 1
manifests: [erasures, holds]
state: s3://audit/reconciler
account_id: 023e105f4ecef8ad9ca31a8372d0c353
limits: {max_deletes: 500, max_percent: 12.5, require_reason: true, allowed_indexes: [docs, "1"]}
indexes:
  docs: {max_deletes: 9}
  "1": {max_percent: 50}
api: {batch_size: 50, concurrency: 4, requests_per_five_minutes: 600, share: 0.5}
"""


def test_every_key_reaches_its_value(folder):
    folder.write("reconciler.yaml", WHOLE)
    config, diagnostics = load_config(None, root=folder.root)
    assert diagnostics == ()
    assert config == Config(
        path="reconciler.yaml",
        manifests=("erasures", "holds"),
        state="s3://audit/reconciler",
        account_id="023e105f4ecef8ad9ca31a8372d0c353",
        limits=Limits(500, 12.5, True, ("docs", "1"), {"docs": IndexLimits(9, 12.5), "1": IndexLimits(500, 50.0)}),
        api=ApiSettings(50, 4, 600, 0.5),
    )


def test_without_a_file_the_defaults_hold(folder):
    assert load_config(None, root=folder.root) == (Config(), ())
    folder.write("reconciler.yaml", "version: 1\nmanifests: erasures\n")
    assert load_config(None, root=folder.root)[0] == Config("reconciler.yaml", ("erasures",))


def test_a_file_that_was_named_must_be_there(folder):
    _, (found,) = load_config("other.yaml", root=folder.root)
    assert (found.code, str(found.position)) == ("config-unreadable", "other.yaml")
    (folder.root / "sub").mkdir()
    assert [d.code for d in load_config("sub", root=folder.root)[1]] == ["config-unreadable"]
    assert [d.code for d in load_config("a\0b", root=folder.root)[1]] == ["config-unreadable"]


CASES = {
    "": "1:1 empty-file",
    "manifests: m\n": "1:1 missing-key",
    "version: 2\n": "1:10 unsupported-version",
    "version: 1\nlimts: {}\n": "2:1 unknown-key",
    "version: 1\nmanifests: []\n": "2:12 empty-list",
    "version: 1\nmanifests: {a: b}\n": "2:12 wrong-type",
    "version: 1\naccount_id: abc\n": "2:13 account-id",
    "version: 1\nlimits: {max_deletes: -1}\n": "2:23 out-of-range",
    "version: 1\nlimits: {max_deletes: '5'}\n": "2:23 wrong-type",
    "version: 1\nlimits: {max_deletes: 010}\n": "2:23 wrong-type",
    "version: 1\nlimits: {max_deletes: many}\n": "2:23 wrong-type",
    "version: 1\nlimits: {max_percent: 101}\n": "2:23 out-of-range",
    "version: 1\nlimits: {max_percent: .nan}\n": "2:23 wrong-type",
    "version: 1\nlimits: {require_reason: yes}\n": "2:26 wrong-type",
    "version: 1\nlimits: {allowed_indexes: [docs, '']}\n": "2:34 index-name",
    "version: 1\nindexes: {'': {}}\n": "2:11 index-name",
    "version: 1\nindexes: {docs: {require_reason: true}}\n": "2:18 unknown-key",
    "version: 1\napi: {batch_size: 0}\n": "2:19 out-of-range",
    "version: 1\napi: {batch_size: 1001}\n": "2:19 out-of-range",
    "version: 1\napi: {share: 0}\n": "2:14 out-of-range",
    "version: 1\napi: {share: 1.5}\n": "2:14 out-of-range",
    "version: 1\nbase_url: https://elsewhere.example\n": "2:1 base-url",
    "version: 1\napi: {base_url: https://elsewhere.example}\n": "2:7 base-url",
    "version: 1\napi: {endpoint: https://elsewhere.example}\n": "2:7 base-url",
    "version: 1\napi_token: abc\n": "2:1 unknown-key",
}


@pytest.mark.parametrize("wrong", ["30", "-1d", "1w", "999999d"])
def test_a_recheck_that_is_no_length_of_time_is_told_how_to_write_one(folder, wrong):
    folder.write("reconciler.yaml", f"version: 1\nrecheck: {wrong}\n")
    (found,) = load_config(None, root=folder.root)[1]
    assert (found.code, found.summary) == ("duration", f'"{wrong}" is no length of time')
    assert "30d or 12h" in found.detail


@pytest.mark.parametrize("text", CASES)
def test_a_mistake_is_reported_where_it_is_and_nothing_of_the_file_counts(folder, text):
    folder.write("reconciler.yaml", text)
    config, diagnostics = load_config(None, root=folder.root)
    assert [f"{d.position} {d.code}" for d in diagnostics] == [f"reconciler.yaml:{CASES[text]}"]
    assert config == Config(path="reconciler.yaml")


def test_an_address_in_the_file_is_refused_with_the_reason(folder):
    folder.write("reconciler.yaml", "version: 1\napi: {base_url: https://elsewhere.example}\n")
    (found,) = load_config(None, root=folder.root)[1]
    assert "token sent elsewhere" in found.detail


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hunter2@db.example/audit",
        "postgresql://user:hunt/er2@db.example/audit",
        "postgresql://user@db.example/audit?password=hunter2",
        "postgresql://db.example/audit?sslmode=require&sslpassword=hunter2",
        "postgresql://db.example/audit?pass%77ord=hunter2",
        "host=db.example password=hunter2",
        "s3://AKIA:hunter2@bucket/prefix",
        "s3://hunter2@bucket/prefix",
        "s3://bucket/prefix?aws_secret_access_key=hunter2",
        "s3://bucket/prefix?X-Amz-Signature=hunter2",
    ],
)
@pytest.mark.parametrize("broken", ["", "nonsense: 1\n", "state: again\n"])
def test_credentials_in_the_state_address_are_refused_and_never_repeated(folder, address, broken):
    folder.write("reconciler.yaml", f"version: 1\nstate: '{address}'\n{broken}")
    config, diagnostics = load_config(None, root=folder.root)
    assert "state-credentials" in [d.code for d in diagnostics]
    assert "hunter2" not in repr((config, diagnostics))


@pytest.mark.parametrize(
    "address",
    [
        "file:audit/state.jsonl",
        "s3://bucket/pre@fix?region=eu",
        "postgresql://user@db.example:5432/audit?sslmode=require",
    ],
)
def test_addresses_without_credentials_are_accepted(folder, address):
    folder.write("reconciler.yaml", f"version: 1\nstate: '{address}'\n")
    config, diagnostics = load_config(None, root=folder.root)
    assert (config.state, diagnostics) == (address, ())
