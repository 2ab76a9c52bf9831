"""Requests to public addresses only, with limits of time and size, and a pause between requests to a host.

The address is checked when the connection is made, and the connection uses exactly that address, which prevents DNS rebinding.
Proxies in the environment are not used, because a proxy would resolve the name itself, without that check; .netrc is not read
either.
"""

import ipaddress
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpcore
import httpx

_CONNECT_SECONDS = 10.0
_PIECE = 2**20
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


class FetchError(ValueError):
    """The reason why something could not be fetched; the message begins with its address.

    Attributes:
        temporary: whether a later attempt may work.
        status: HTTP status; 0 if there was none.
        retry_after: seconds that the server asks to wait, or 0.
    """

    def __init__(self, url: object, reason: str, *, temporary: bool = False, status: int = 0, retry_after: float = 0):
        super().__init__(f"{url}: {reason}")
        self.temporary, self.status, self.retry_after = temporary, status, retry_after


@dataclass(frozen=True)
class Clock:
    """Time in seconds, and waiting; tests use a clock that does not wait."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def is_public(address: str) -> bool:
    """Whether an IP address is public; an IPv6 address that embeds an IPv4 address is judged by the latter."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(str(carried))
        if ip.is_site_local:
            return False
    special = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved or ip.is_unspecified
    return ip.is_global and not special


class _PrivateAddress(Exception):
    pass


class _Deadline:
    """The deadline of the current request."""

    def __init__(self, seconds: float, clock: Clock):
        self._seconds, self._clock, self._at = seconds, clock, 0.0

    def start(self) -> None:
        self._at = self._clock.now() + self._seconds

    def left(self) -> float:
        left = self._at - self._clock.now()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left


class _TimedStream(httpcore.NetworkStream):
    """A connection on which no read outlasts the request's deadline, so that a slow trickle of bytes can't extend it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline):
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> "_TimedStream":
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _CheckedBackend(httpcore.NetworkBackend):
    def __init__(self, allow_hosts: Iterable[str], deadline: _Deadline):
        self._allowed = {_plain_host(host) for host in allow_hosts}
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("host has no address")
        for address in self._addresses(host, port):
            try:
                seconds = min(self._deadline.left(), _CONNECT_SECONDS)
                stream = self._inner.connect_tcp(address, port, seconds, local_address, socket_options)
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("unknown host") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if _plain_host(host) not in self._allowed:
            for address in addresses:
                if not is_public(address):
                    raise _PrivateAddress(address)
        return addresses


class GuardedTransport(httpx.BaseTransport):
    """Sends one request at a time, and reads the whole response.

    Of a request's extensions, `limit` is the maximum body size in bytes, and `read` whether to read it. Raises FetchError for a
    private address, a body that is too large, a timeout, a broken connection, or a temporary error status. Other responses are
    returned, including 4xx. Bodies are decompressed.
    """

    def __init__(self, *, allow_hosts: Iterable[str], timeout_seconds: float, pause_seconds: float, clock: Clock):
        self._clock, self._pause, self._timeout = clock, pause_seconds, timeout_seconds
        self._slower: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._deadline = _Deadline(timeout_seconds, clock)
        # SSL_CERT_FILE is honored, because it affects trust and not the destination.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), network_backend=_CheckedBackend(allow_hosts, self._deadline)
        )

    def slow_down(self, host: str, seconds: float) -> None:
        """Pause at least this long between requests to `host`."""
        self._slower[host] = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        self._wait_for(url.host)
        self._deadline.start()
        try:
            with _fetch_errors(str(url)):
                address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
                answer = self._pool.handle_request(httpcore.Request(request.method, address, headers=request.headers.raw))
                try:
                    return self._read(answer, request)
                finally:
                    answer.close()
        finally:
            self._last[url.host] = self._clock.now()

    def _read(self, answer: httpcore.Response, request: httpx.Request) -> httpx.Response:
        url, limit, status = str(request.url), request.extensions["limit"], answer.status
        headers = httpx.Headers(answer.headers)
        if _may_pass(status):
            wait = _retry_after(headers.get("retry-after", ""), self._clock)
            raise FetchError(url, answered(status), temporary=True, status=status, retry_after=wait)
        packing = headers.pop("content-encoding", "identity").strip().lower()
        if packing not in ("gzip", "x-gzip", "identity", ""):
            raise FetchError(url, f"has the encoding '{packing}', which was not requested")
        if request.method != "GET" or status != HTTPStatus.OK or not request.extensions["read"]:
            return httpx.Response(status, headers=headers)
        if int(_digits(headers.pop("content-length", "0"))) > limit:
            raise too_large(url, limit)
        body = bytearray()
        chunks = answer.iter_stream()
        for piece in _gunzip(chunks) if "gzip" in packing else chunks:
            body += piece
            if len(body) > limit:
                raise too_large(url, limit)
        return httpx.Response(status, headers=headers, content=bytes(body))

    def close(self) -> None:
        self._pool.close()

    def _wait_for(self, host: str) -> None:
        if host in self._last:
            pause = max(self._pause, self._slower.get(host, 0))
            seconds = self._last[host] + pause - self._clock.now()
            if seconds > 0:
                self._clock.sleep(seconds)


def answered(status: int) -> str:
    """`the server responded with 404 Not Found`"""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"the server responded with {status} {phrase}".rstrip()


def too_large(url: object, limit: int) -> FetchError:
    """The error of a body that is larger than `limit` bytes."""
    return FetchError(url, f"larger than {limit / 2**20:g} MiB, the limit (max_megabytes)")


def _may_pass(status: int) -> bool:
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def _plain_host(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


@contextmanager
def _fetch_errors(url: str) -> Iterator[None]:
    try:
        yield
    except _PrivateAddress as error:
        reason = f"its host has the private address {error}; if that is intended, name the host in allow_hosts"
        raise FetchError(url, reason) from None
    except httpcore.TimeoutException:
        raise FetchError(url, "not finished within the time limit (timeout_seconds)", temporary=True) from None
    except httpcore.UnsupportedProtocol:
        raise FetchError(url, "only http and https are supported") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FetchError(url, f"the connection was lost ({reason})", temporary=True) from None


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses incrementally, so that a decompression bomb is noticed early; a gzip file may have several members."""
    inflater = zlib.decompressobj(wbits=31)
    started = False
    for chunk in chunks:
        while chunk or started:
            started = True
            piece = inflater.decompress(chunk, _PIECE)
            if piece:
                yield piece
            if inflater.eof:
                chunk, inflater, started = inflater.unused_data, zlib.decompressobj(wbits=31), False
                continue
            chunk = inflater.unconsumed_tail
            if not chunk and len(piece) < _PIECE:
                break
    if started:
        raise EOFError("the compressed body is truncated")


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() else "0"


def _retry_after(value: str, clock: Clock) -> float:
    """Seconds of a Retry-After header, which has seconds or a date (RFC 9110, 10.2.3); 0 if it is invalid."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - clock.wall())
    except (ValueError, TypeError, OverflowError):
        return 0.0
