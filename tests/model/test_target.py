from __future__ import annotations

import pytest

from reconciler.model.target import DEFAULT_BASE_URL, LOOPBACK, Target, is_loopback, origin_of


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8787",
        "http://LOCALHOST",
        "https://localhost/client/v4",
        "http://127.0.0.1:9999/client/v4",
        "http://127.255.255.254",
        "http://[::1]:8787",
        "http://[0:0:0:0:0:0:0:1]",
        "http://user:password@127.0.0.1:1/",
    ],
)
def test_every_loopback_address_is_one_world(url):
    assert origin_of(url) == LOOPBACK


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (DEFAULT_BASE_URL, "https://api.cloudflare.com"),
        ("https://api.cloudflare.com", "https://api.cloudflare.com"),
        ("https://API.Cloudflare.COM:443/other/path?query#part", "https://api.cloudflare.com"),
        ("https://api.cloudflare.com:8443/x", "https://api.cloudflare.com:8443"),
        ("http://proxy.example:80/client/v4", "http://proxy.example"),
        ("http://proxy.example:443", "http://proxy.example:443"),
        ("https://proxy.example:80", "https://proxy.example:80"),
        ("HTTPS://proxy.example", "https://proxy.example"),
        ("https://[2001:db8::1]/v4", "https://[2001:db8::1]"),
        ("https://[2001:DB8::1]:8443/v4", "https://[2001:db8::1]:8443"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("http://128.0.0.1", "http://128.0.0.1"),
    ],
)
def test_one_service_has_one_origin_however_its_url_is_written(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "host", ["localhost.example.org", "127.0.0.1.example.org", "notlocalhost", "[2001:db8::1]"]
)
def test_a_remote_host_never_passes_for_loopback(host):
    assert origin_of(f"https://{host}") != LOOPBACK


def test_credentials_in_a_url_never_reach_the_origin():
    origin = origin_of("https://user:hunter2@proxy.example:8443/v4")
    assert origin == "https://proxy.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.cloudflare.com",
        "ftp://api.cloudflare.com",
        "https://",
        "https:///v4",
        "file:///etc/passwd",
        "//host",
    ],
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ValueError, match="not an http"):
        origin_of(url)


@pytest.mark.parametrize("url", ["https://host:port", "https://host:65536", "https://[::1", "https://host:-1"])
def test_a_broken_port_or_address_is_refused(url):
    with pytest.raises(ValueError, match=r".+"):
        origin_of(url)


@pytest.mark.parametrize(
    ("host", "expected"), [("localhost", True), ("a.localhost", False), ("::1", True), ("", False)]
)
def test_is_loopback(host, expected):
    assert is_loopback(host) is expected


def test_targets_sort_by_origin_account_index_and_read_without_the_origin():
    one, two = Target("https://a", "1", "z"), Target("https://a", "2", "a")
    assert sorted([two, one]) == [one, two]
    assert str(one) == "1/z"
