from __future__ import annotations

import subprocess
import sys

import pytest

from reconciler.errors import AuthenticationFailed, UsageError
from reconciler.vectorize import Credentials, base_url_from, credentials_from

SECRET = "v1-0123456789abcdef-SECRET"


def test_the_token_wins_over_the_pair():
    both = {"CLOUDFLARE_API_TOKEN": SECRET, "CLOUDFLARE_API_KEY": "k" * 37, "CLOUDFLARE_EMAIL": "a@example.com"}
    assert credentials_from(both).headers() == {"Authorization": f"Bearer {SECRET}"}
    assert credentials_from(both).kind == "token"


def test_the_pair_is_sent_in_its_own_headers():
    found = credentials_from({"CLOUDFLARE_API_KEY": "k" * 37, "CLOUDFLARE_EMAIL": "a@example.com"})
    assert found.headers() == {"X-Auth-Email": "a@example.com", "X-Auth-Key": "k" * 37}
    assert found.kind == "key"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"CLOUDFLARE_API_TOKEN": ""},
        {"CLOUDFLARE_API_KEY": SECRET},
        {"CLOUDFLARE_EMAIL": SECRET},
        {"CLOUDFLARE_API_KEY": SECRET, "CLOUDFLARE_EMAIL": ""},
    ],
)
def test_missing_or_half_credentials_name_the_variables_to_set(env):
    with pytest.raises(AuthenticationFailed) as caught:
        credentials_from(env)
    for variable in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL"):
        assert variable in caught.value.hint
    assert SECRET not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "value",
    [SECRET + "\n", " " + SECRET, SECRET + "\r\n", SECRET + "\u2014", "\ufeff" + SECRET, SECRET[:5] + " x", " "],
)
def test_a_token_that_cannot_be_a_header_is_refused_without_showing_it(value):
    with pytest.raises(AuthenticationFailed) as caught:
        credentials_from({"CLOUDFLARE_API_TOKEN": value})
    assert "CLOUDFLARE_API_TOKEN" in caught.value.message
    assert SECRET[:5] not in str(caught.value) + caught.value.hint


def test_printing_credentials_shows_no_secret():
    made = Credentials.key(SECRET, "somebody@example.com")
    assert SECRET not in f"{made} {made!r} {[made]}"
    assert "somebody" not in f"{made!r}"


def test_the_base_url_comes_from_the_flag_then_the_sdks_variable_then_wranglers():
    env = {"CLOUDFLARE_BASE_URL": "https://b.example/v4", "CLOUDFLARE_API_BASE_URL": "https://c.example/v4/"}
    assert base_url_from("https://a.example/v4//", env) == "https://a.example/v4"
    assert base_url_from(None, env) == "https://b.example/v4"
    assert base_url_from(None, env | {"CLOUDFLARE_BASE_URL": ""}) == "https://c.example/v4"
    assert base_url_from(None, {}) == "https://api.cloudflare.com/client/v4"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8787/client/v4", "http://localhost/v4", "http://[::1]:9/v4"])
def test_plain_http_is_good_enough_for_this_machine(url):
    assert base_url_from(url, {}) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.cloudflare.com/client/v4",
        "http://127.0.0.1.example.com/",
        "ftp://api.example.com",
        "api.example.com/client/v4",
        "https://",
        "https://api.example.com:port/",
        "https://[::1/",
        "https://somebody:hunter22@api.example.com/v4",
        "https://api.example.com/v4?x=1",
        "https://api.example.com/v4#x",
        "https://api.example.com/v4?",
        "https://api.exa\nmple.com/v4",
        "https://good.example\\@evil.example/v4",
    ],
)
def test_credentials_are_not_sent_to_a_doubtful_url(url):
    with pytest.raises(UsageError) as caught:
        base_url_from(None, {"CLOUDFLARE_BASE_URL": url})
    assert "CLOUDFLARE_BASE_URL" in caught.value.message
    assert "hunter22" not in caught.value.message + caught.value.hint


def test_importing_the_package_does_not_import_httpx():
    code = "import sys, reconciler.vectorize; sys.exit('httpx' in sys.modules or 'ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
