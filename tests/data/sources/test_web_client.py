import gzip
import ipaddress
import itertools
import re
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowmodel.data.sources.web_client import WebClient
from flowmodel.data.sources.web_network import Clock, FetchError, is_public
from tests.data.sources.faulty_server import Answer, FaultyServer, PatientClock

LIMIT = 2**20


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def time_passed() -> PatientClock:
    return PatientClock()


Open = Callable[..., AbstractContextManager[WebClient]]


@pytest.fixture
def open_client(tmp_path: Path, time_passed: PatientClock) -> Open:
    def open_client(**options: Any) -> WebClient:
        options = {"allow_hosts": ["127.0.0.1"], "pause_seconds": 0, "clock": time_passed.clock, "timeout_seconds": 5} | options
        return WebClient(tmp_path / "web", **options)

    return open_client


def test_a_document_is_fetched_with_its_type_and_the_client_identifies_itself(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = Answer(b"<p>hello", mime="text/HTML; Charset=ISO-8859-1", packed=True)
    with open_client(contact="me@example.org") as client:
        fetched = client.page(f"{server.url}/a#there")
    assert (fetched.content, fetched.mime, fetched.charset) == (b"<p>hello", "text/html", "iso-8859-1")
    assert fetched.url == f"{server.url}/a"
    assert [asked.path for asked in server.asked] == ["/robots.txt", "/a"]
    assert {asked.headers["user-agent"] for asked in server.asked} == {"flowmodel/0.1.0 (+me@example.org)"}


# Faults of a server, and their effects.


def test_429_is_retried_after_the_seconds_that_retry_after_asks_for(
    server: FaultyServer, open_client: Open, time_passed: PatientClock
) -> None:
    server.answers["/a"] = [Answer(status=429, headers={"Retry-After": "17"}), Answer(b"ok")]
    with open_client() as client:
        assert client.page(f"{server.url}/a").content == b"ok"
    assert time_passed.slept == [17]


def test_retry_after_may_be_a_date(server: FaultyServer, open_client: Open, time_passed: PatientClock) -> None:
    soon = formatdate(time.time() + 40, usegmt=True)
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": soon}), Answer(b"ok")]
    with open_client() as client:
        client.page(f"{server.url}/a")
    assert len(time_passed.slept) == 1
    assert 37 < time_passed.slept[0] <= 40


@pytest.mark.parametrize("value", ["soon", "-5", "", "Mon, 99 Foo 2020 00:00:00 GMT", "1e9"])
def test_an_invalid_retry_after_is_ignored(
    server: FaultyServer, open_client: Open, time_passed: PatientClock, value: str
) -> None:
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": value}), Answer(b"ok")]
    with open_client() as client:
        client.page(f"{server.url}/a")
    assert 1 <= time_passed.slept[0] <= 2


def test_a_server_that_asks_for_a_very_long_pause_is_skipped(
    server: FaultyServer, open_client: Open, time_passed: PatientClock
) -> None:
    server.answers["/a"] = Answer(status=429, headers={"Retry-After": "86400"})
    server.answers["/b"] = Answer(b"ok")
    with open_client() as client:
        with pytest.raises(FetchError, match=r"429 Too Many Requests") as error:
            client.page(f"{server.url}/a")
        assert error.value.temporary
        with pytest.raises(FetchError, match=r"not requested, because 127.0.0.1 asked for a pause of 86400 s"):
            client.page(f"{server.url}/b")
    assert time_passed.slept == []
    assert server.paths() == ["/a"]


def test_failures_of_the_server_are_retried_at_growing_intervals_and_not_forever(
    server: FaultyServer, open_client: Open, time_passed: PatientClock
) -> None:
    server.answers["/a"] = [Answer(status=500), Answer(status=502), Answer(b"ok")]
    server.answers["/b"] = Answer(status=500)
    with open_client() as client:
        assert client.page(f"{server.url}/a").content == b"ok"
        assert [int(seconds) for seconds in time_passed.slept] == [1, 2]
        with pytest.raises(FetchError, match=r"/b: the server responded with 500 Internal Server Error"):
            client.page(f"{server.url}/b")
    assert server.paths() == ["/a"] * 3 + ["/b"] * 4


def test_a_server_that_fails_repeatedly_is_skipped(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {f"/{i}": Answer(status=500) for i in range(8)}
    with open_client() as client:
        for i in range(8):
            with pytest.raises(FetchError) as error:
                client.page(f"{server.url}/{i}")
            assert error.value.temporary
    assert set(server.paths()) == {"/0", "/1", "/2", "/3", "/4"}


def test_a_failure_is_not_kept_in_the_cache(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = [Answer(status=500, headers={"Cache-Control": "max-age=9999"}), Answer(b"ok")]
    with open_client() as client:
        assert client.image(f"{server.url}/a", LIMIT).content == b"ok"


@pytest.mark.parametrize(
    "broken",
    [
        Answer(b"12345", promised=500),
        Answer(b"x" * 200_000, promised=400_000, etag='"1"'),
        Answer(reset=True),
        Answer(b"\x1f\x8b\x08\0\0\0\0\0\0\xffnot gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["truncated", "truncated with ETag", "reset", "damaged gzip"],
)
def test_a_body_that_breaks_off_is_fetched_again_and_never_kept(server: FaultyServer, open_client: Open, broken: Answer) -> None:
    server.answers["/a"] = [broken, Answer(b"whole", etag='"1"')]
    with open_client() as client:
        assert client.image(f"{server.url}/a", LIMIT).content == b"whole"
        assert client.page(f"{server.url}/a").content == b"whole"
    assert server.paths(200 if not broken.reset else None)[:2] == ["/a", "/a"]


def test_a_gzip_body_that_lacks_its_end_counts_as_broken_off(server: FaultyServer, open_client: Open) -> None:
    whole = gzip.compress(b"0123456789" * 1000)
    server.answers["/a"] = [
        Answer(whole[:-12], headers={"Content-Encoding": "gzip"}),
        Answer(whole, headers={"Content-Encoding": "gzip"}),
    ]
    with open_client() as client:
        assert client.image(f"{server.url}/a", LIMIT).content == b"0123456789" * 1000


def test_a_gzip_body_of_several_members_is_whole(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = Answer(gzip.compress(b"ab") + gzip.compress(b"cd"), headers={"Content-Encoding": "gzip"})
    with open_client() as client:
        assert client.page(f"{server.url}/a").content == b"abcd"


@pytest.mark.parametrize("drip", [Answer(b"x" * 200, drip=0.05), Answer(b"x" * 200, drip=0.05, unsized=True)])
def test_a_body_that_drips_ends_at_the_time_limit(server: FaultyServer, open_client: Open, drip: Answer) -> None:
    server.answers["/a"] = drip
    started = time.monotonic()
    with (
        open_client(timeout_seconds=0.2) as client,
        pytest.raises(FetchError, match=r"not finished within the time limit") as error,
    ):
        client.page(f"{server.url}/a")
    assert error.value.temporary
    assert time.monotonic() - started < 10  # which one attempt would take without the limit; there are four


def test_headers_that_drip_end_at_the_time_limit_too(open_client: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    for _ in range(400):
                        time.sleep(0.05)
                        connection.sendall(b"x")
            except OSError:
                pass

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        started = time.monotonic()
        with open_client(timeout_seconds=0.2) as client, pytest.raises(FetchError, match=r"time limit"):
            client.page(url)
        assert time.monotonic() - started < 20  # which one attempt would take without the limit


@pytest.mark.parametrize(
    "large",
    [
        Answer(b"x" * 70_000),
        Answer(b"x" * 70_000, unsized=True),
        Answer(b"x", promised=10**12),
        Answer(bytes(70_000), packed=True),
    ],
    ids=["stated", "unstated", "stated only", "packed"],
)
def test_a_body_beyond_the_limit_is_refused_at_once(server: FaultyServer, open_client: Open, large: Answer) -> None:
    server.answers["/a"] = large
    with open_client(max_bytes=60_000) as client, pytest.raises(FetchError, match=r"larger than 0\.05\d+ MiB") as error:
        client.page(f"{server.url}/a")
    assert not error.value.temporary
    assert server.paths() == ["/a"]


def test_a_gzip_bomb_is_never_unpacked_beyond_the_limit(server: FaultyServer, open_client: Open) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    server.answers["/a"] = Answer(bomb, headers={"Content-Encoding": "gzip"})
    assert len(bomb) < 2**18
    with open_client(max_bytes=4 * 2**20) as client:
        tracemalloc.start()
        try:
            with pytest.raises(FetchError, match=r"larger than 4 MiB"):
                client.page(f"{server.url}/a")
            assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
        finally:
            tracemalloc.stop()


def test_a_packing_that_was_not_requested_is_refused(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = Answer(b"x", headers={"Content-Encoding": "br"})
    with open_client() as client, pytest.raises(FetchError, match=r"has the encoding 'br'"):
        client.page(f"{server.url}/a")
    assert server.asked[-1].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 451, 501])
def test_other_client_errors_are_not_retried(server: FaultyServer, open_client: Open, status: int) -> None:
    server.answers["/a"] = Answer(status=status)
    with open_client() as client, pytest.raises(FetchError, match=f"the server responded with {status} ") as error:
        client.page(f"{server.url}/a")
    assert not error.value.temporary
    assert server.paths() == ["/a"]


# Where it goes.


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/a", "file:///etc/passwd", "javascript:alert(1)", "http://", "//a", "", "gopher://x", "http://\x00"]
)
def test_only_http_and_https_are_fetched(open_client: Open, url: str) -> None:
    with open_client() as client, pytest.raises(FetchError, match=r"only http and https|not a valid address") as error:
        client.page(url)
    assert not error.value.temporary


def test_a_password_in_an_address_is_refused_and_not_repeated(open_client: Open) -> None:
    with open_client() as client, pytest.raises(FetchError, match=r"user name or password") as error:
        client.page("http://me:secret@127.0.0.1/")
    assert "secret" not in str(error.value)


def test_a_host_with_a_private_address_must_be_named(server: FaultyServer, open_client: Open) -> None:
    for url in (server.url, server.url.replace("127.0.0.1", "localhost"), server.url.replace("127.0.0.1", "2130706433")):
        with open_client(allow_hosts=[]) as client, pytest.raises(FetchError, match=r"private address 127.0.0.1; .*allow_hosts"):
            client.page(url)
    assert server.asked == []


def test_the_address_that_was_checked_is_the_one_connected_to(
    server: FaultyServer, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a name that is public when it is looked up first, and 127.0.0.1 ever after."""
    port = int(server.url.rpartition(":")[2])
    looked_up: list[str] = []
    connected: list[Any] = []

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        looked_up.append(str(host))
        address = "203.0.113.7" if str(host) == "203.0.113.7" else "93.184.215.14" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: Any, *arguments: Any, **options: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with open_client(allow_hosts=[]) as client, pytest.raises(FetchError):
        client.page(f"http://rebinding.example:{port}/")
    assert connected == [("93.184.215.14", port)]  # the later look-ups gave 127.0.0.1, which was refused
    assert server.asked == []


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("169.254.169.254"))
@example(ipaddress.IPv4Address("100.64.0.1"))
@example(ipaddress.IPv4Address("0.0.0.0"))
@example(ipaddress.IPv4Address("224.0.0.1"))
def test_an_embedded_address_is_judged_by_itself(inner: ipaddress.IPv4Address) -> None:
    public = is_public(str(inner))
    assert public == (inner.is_global and not inner.is_multicast and not inner.is_reserved)
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + int(inner)))) == public
    assert is_public(str(ipaddress.IPv6Address((0x2002 << 112) + (int(inner) << 80) + 1))) == public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:4700::6810:84e5", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("2001:0:1::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
    ],
)
def test_addresses_that_are_not_of_the_public_internet_are_known(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_redirects_are_followed_and_logged(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {
        "/a": Answer(status=301, headers={"Location": "/b/c"}),
        "/b/c": Answer(status=307, headers={"Location": "d?x=1"}),
        "/b/d?x=1": Answer(b"there"),
    }
    with open_client() as client:
        fetched = client.page(f"{server.url}/a")
    assert (fetched.content, fetched.url) == (b"there", f"{server.url}/b/d?x=1")


def test_a_redirect_loop_ends(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = Answer(status=302, headers={"Location": "/a"})
    with open_client() as client, pytest.raises(FetchError, match=r"/a: redirected more than 5 times"):
        client.page(f"{server.url}/a")
    assert server.paths() == ["/a"] * 6


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://localhost:{port}/secret", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address 169.254.169.254"),
        ("http://[::ffff:127.0.0.1]:{port}/secret", "private address ::ffff:127.0.0.1"),
        ("file:///etc/passwd", "only http and https"),
        ("ftp://127.0.0.1/", "only http and https"),
        ("http://[::zz]/", "invalid address"),
        ("http://me:secret@127.0.0.1:{port}/secret", "user name or password"),
    ],
)
def test_every_hop_of_a_redirect_is_checked(server: FaultyServer, open_client: Open, location: str, message: str) -> None:
    server.answers["/a"] = Answer(status=302, headers={"Location": location.format(port=server.url.rpartition(":")[2])})
    server.answers["/secret"] = Answer(b"secret")
    with open_client() as client, pytest.raises(FetchError, match=re.escape(message)) as error:
        client.page(f"{server.url}/a")
    assert not error.value.temporary
    assert server.paths() == ["/a"]


def test_proxies_of_the_environment_are_not_used(
    server: FaultyServer, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    server.answers["/a"] = Answer(b"ok")
    with open_client() as client:
        assert client.page(f"{server.url}/a").content == b"ok"


# robots.txt


def robots(text: str) -> Answer:
    return Answer(text.encode(), mime="text/plain")


def test_robots_txt_is_obeyed_and_fetched_once(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {"/robots.txt": robots("User-agent: *\nDisallow: /no\nAllow: /no/yes"), "/no/yes": Answer(b"ok")}
    with open_client() as client:
        client.page(f"{server.url}/no/yes")
        for path in ("/no", "/no/a"):
            with pytest.raises(FetchError, match=r"robots.txt forbids fetching it") as error:
                client.page(server.url + path)
            assert not error.value.temporary
    assert [asked.path for asked in server.asked] == ["/robots.txt", "/no/yes"]


def test_rules_for_this_program_take_precedence(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {
        "/robots.txt": robots("User-agent: FlowModel\nDisallow: /a\n\nUser-agent: *\nAllow: /"),
        "/b": Answer(b"ok"),
    }
    with open_client() as client:
        client.page(f"{server.url}/b")
        with pytest.raises(FetchError, match=r"forbids"):
            client.page(f"{server.url}/a")


def test_a_redirect_to_what_robots_txt_forbids_is_not_followed(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {
        "/robots.txt": robots("User-agent: *\nDisallow: /no"),
        "/a": Answer(status=302, headers={"Location": "/no"}),
        "/no": Answer(b"no"),
    }
    with open_client() as client, pytest.raises(FetchError, match=r"/no: .*forbids"):
        client.page(f"{server.url}/a")
    assert server.paths() == ["/a"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_host_without_robots_txt_allows_everything(server: FaultyServer, open_client: Open, status: int) -> None:
    server.answers |= {"/robots.txt": Answer(status=status), "/a": Answer(b"ok")}
    with open_client() as client:
        assert client.page(f"{server.url}/a").content == b"ok"


@pytest.mark.parametrize(
    "broken",
    [Answer(status=500), Answer(status=429), Answer(reset=True), Answer(status=302, headers={"Location": "/robots.txt"})],
    ids=["500", "429", "reset", "redirect loop"],
)
def test_nothing_is_fetched_without_robots_txt_after_a_server_error(
    server: FaultyServer, open_client: Open, broken: Answer
) -> None:
    server.answers |= {"/robots.txt": broken, "/a": Answer(b"ok"), "/b": Answer(b"ok")}
    with open_client() as client:
        for path in ("/a", "/b"):
            with pytest.raises(FetchError, match=r"not fetched, because its host's robots.txt can't be"):
                client.page(server.url + path)
    assert server.paths() == []
    assert len(server.asked) in (4, 6)  # one round of attempts, not two


def test_a_crawl_delay_is_kept_where_it_is_longer_than_the_pause(
    server: FaultyServer, open_client: Open, time_passed: PatientClock
) -> None:
    server.answers |= {"/robots.txt": robots("User-agent: *\nCrawl-delay: 7"), "/a": Answer(b"a"), "/b": Answer(b"b")}
    with open_client(pause_seconds=2) as client:
        client.page(f"{server.url}/a")
        client.page(f"{server.url}/b")
    assert [round(seconds) for seconds in time_passed.slept] == [7, 7]


def test_there_is_a_pause_between_two_requests_to_a_host_and_never_two_at_once(
    server: FaultyServer, open_client: Open, time_passed: PatientClock
) -> None:
    server.answers |= {"/a": Answer(b"a"), "/b": Answer(b"b")}
    with (
        FaultyServer({"/c": Answer(b"c")}, name="localhost") as other,
        open_client(pause_seconds=3, allow_hosts=["127.0.0.1", "localhost"]) as client,
    ):
        client.page(f"{server.url}/a")
        client.page(f"{other.url}/c")
        client.page(f"{server.url}/b")
    # Between robots.txt and what follows, for each host; meanwhile the first host has had its pause again.
    assert [round(seconds) for seconds in time_passed.slept] == [3, 3]
    assert server.most_at_once == 1


def test_the_real_clock_really_waits(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {"/a": Answer(b"a"), "/b": Answer(b"b")}
    with open_client(pause_seconds=0.15, clock=Clock()) as client:
        client.page(f"{server.url}/a")
        client.page(f"{server.url}/b")
    times = [asked.at for asked in server.asked]
    assert min(after - before for before, after in itertools.pairwise(times)) >= 0.14


# What is on disk already.


def test_what_has_not_changed_is_not_downloaded_a_second_time(server: FaultyServer, open_client: Open) -> None:
    date = "Wed, 01 Jan 2020 00:00:00 GMT"
    server.answers |= {"/a": Answer(b"a" * 300_000, etag='"1"', packed=True), "/b": Answer(b"b", headers={"Last-Modified": date})}
    for _ in range(2):
        with open_client() as client:
            assert client.page(f"{server.url}/a").content == b"a" * 300_000
            assert client.page(f"{server.url}/b").content == b"b"
            client.finish()
    assert server.paths(200).count("/a") == 1
    assert server.paths(304) == ["/a"]
    assert server.asked[-1].headers["if-modified-since"] == date


def test_what_has_changed_is_downloaded_again(server: FaultyServer, open_client: Open) -> None:
    for version in (b"1", b"2", b"3", b"3"):
        server.answers["/a"] = Answer(version, etag=f'"{version.decode()}"')
        with open_client() as client:
            assert client.page(f"{server.url}/a").content == version
    assert server.paths(200) == ["/a"] * 3


def test_a_page_is_always_revalidated_and_an_image_is_not(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {
        path: Answer(b"x", etag='"1"', headers={"Cache-Control": "max-age=9999"}) for path in ("/page", "/picture")
    }
    for _ in range(2):
        with open_client() as client:
            client.page(f"{server.url}/page")
            client.image(f"{server.url}/picture", LIMIT)
            client.finish()
    assert server.paths() == ["/page", "/picture", "/page"]


def test_an_interrupted_run_requests_only_the_missing_images(server: FaultyServer, open_client: Open) -> None:
    server.answers |= {f"/{i}": Answer(bytes([i]), headers={"Connection": "close"}) for i in range(6)}  # no ETag, no date
    with open_client() as client:
        for i in range(3):
            client.image(f"{server.url}/{i}", LIMIT)
    server.forget()
    with open_client() as client:
        assert [client.image(f"{server.url}/{i}", LIMIT).content for i in range(6)] == [bytes([i]) for i in range(6)]
        client.finish()
    assert server.paths() == ["/3", "/4", "/5"]
    server.forget()
    with open_client() as client:
        client.image(f"{server.url}/0", LIMIT)
    assert server.paths() == ["/0"]  # a new run asks again


def test_a_damaged_cache_is_rebuilt(server: FaultyServer, open_client: Open, tmp_path: Path) -> None:
    server.answers["/a"] = Answer(b"ok", etag='"1"')
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "cache.db").write_bytes(b"not a database at all" * 100)
    for _ in range(2):
        with open_client() as client:
            assert client.page(f"{server.url}/a").content == b"ok"
    assert server.paths(304) == ["/a"]


def test_a_head_request_gives_the_version_of_a_page(server: FaultyServer, open_client: Open) -> None:
    server.answers["/a"] = Answer(b"x" * 99, etag='"1"', headers={"Last-Modified": "yesterday"})
    with open_client() as client:
        head = client.head(f"{server.url}/a")
    assert (head.etag, head.last_modified, head.length) == ('"1"', "yesterday", "99")
    assert server.asked[-1].method == "HEAD"
