"""A polite web client: obeys robots.txt, identifies itself, waits between requests, and fetches nothing twice.

Responses are cached on disk and revalidated with If-None-Match or If-Modified-Since (RFC 9111). When a run resumes an
interrupted one, images that were already fetched are not requested again.
"""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx
from hishel import CacheOptions, Entry, SqliteStorage
from hishel.httpx import CacheTransport
from protego import Protego

from flowmodel import __version__
from flowmodel.data.sources.web_network import Clock, FetchError, GuardedTransport, answered, too_large

_AGENT = "flowmodel"
_REDIRECTS = 5
_PAUSES = (1, 2, 4)  # seconds before the next attempt, plus up to one second
# A server that asks for a longer pause, or fails repeatedly, is skipped until the next run.
_LONGEST_WAIT = 300.0
_FAILURES = 5
_ROBOTS_BYTES = 2**20  # RFC 9309, 2.5: at least 500 KiB
_CACHE_BYTES = 4 * 2**30
_JOURNAL_SECONDS = 7 * 86400
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Fetched:
    """A document. `url` is its address after redirects; `mime` and `charset` are lowercase, or empty if not stated."""

    url: str
    content: bytes
    mime: str = ""
    charset: str = ""


@dataclass(frozen=True)
class Head:
    """A server's headers about a document; missing ones are empty."""

    etag: str
    last_modified: str
    length: str


@dataclass(frozen=True)
class _Ask:
    """Options of a request.

    Attributes:
        cached: whether the cache may be used and updated.
        fresh: whether the server must be asked even if the cached response is fresh.
        as_it_is: whether a cached response of any age may be used.
        read: whether to read the body.
    """

    method: str = "GET"
    limit: int = 0
    cached: bool = True
    fresh: bool = True
    as_it_is: bool = False
    read: bool = True


class _OneEach(SqliteStorage):
    """Keeps one response for each address. Hishel 2.0 keeps outdated ones as well, and may revalidate with their ETags."""

    def create_entry(self, request: Any, response: Any, key: str, **limits: Any) -> Entry:
        for outdated in self.get_entries(key):
            self.remove_entry(outdated.id)
        return super().create_entry(request, response, key, **limits)


class WebClient:
    """Fetches documents one at a time; a context manager.

    Args:
        folder: folder of the cache, which later clients reuse.
        contact: contact address that is sent to servers.
        allow_hosts: hosts that may have a private address.
        pause_seconds: pause between two requests to one host; robots.txt may ask for a longer one.
        timeout_seconds: timeout of a request, from the connection to the last byte.
        max_bytes: limit of a decompressed body.
    """

    def __init__(
        self,
        folder: Path,
        *,
        contact: str = "",
        allow_hosts: Iterable[str] = (),
        pause_seconds: float = 1.0,
        timeout_seconds: float = 30.0,
        max_bytes: int = 64 * 2**20,
        log: Callable[[str], None] = lambda line: None,
        clock: Clock | None = None,
    ):
        self._clock, self._log, self._max_bytes = clock or Clock(), log, max_bytes
        self._headers = {
            "User-Agent": f"{_AGENT}/{__version__}" + (f" (+{contact})" if contact else ""),
            "Accept": "*/*",
            "Accept-Encoding": "gzip",  # the encoding that can be decompressed incrementally within the limit
        }
        self._network = GuardedTransport(
            allow_hosts=allow_hosts, timeout_seconds=timeout_seconds, pause_seconds=pause_seconds, clock=self._clock
        )
        storage = _OneEach(database_path=_sound(folder / "cache.db", log), max_size=_CACHE_BYTES)
        self._cache = CacheTransport(self._network, storage)
        self._journal = folder / "unfinished.txt"
        self._done = _read_journal(self._journal)
        self._robots: dict[str, Protego | FetchError | None] = {}
        self._failures: dict[str, int] = {}
        self._given_up: dict[str, str] = {}
        if self._done:
            log(f"resuming: {len(self._done):,} images are already fetched")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._cache.close()

    def page(self, url: str) -> Fetched:
        """The current document at `url`. The server is always asked, and may answer that nothing has changed.

        Raises FetchError: refused by robots.txt or the limits, or not available.
        """
        return self._document(url, self._max_bytes, fresh=True)

    def image(self, url: str, max_bytes: int) -> Fetched:
        """Like :meth:`page`, but not requested again if the previous, interrupted run fetched it."""
        fetched = self._document(url, min(max_bytes, self._max_bytes), fresh=False)
        if url not in self._done:
            self._done.add(url)
            with self._journal.open("a", encoding="utf-8") as journal:  # an incomplete last line names no image and is harmless
                journal.write(url + "\n")
        return fetched

    def head(self, url: str) -> Head:
        """The server's current headers of the document at `url`; raises FetchError as :meth:`page` does."""
        try:
            answer = self._follow(url, _Ask("HEAD", self._max_bytes, cached=False))
        except FetchError as error:
            if error.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
                raise
            answer = self._follow(url, _Ask("GET", self._max_bytes, cached=False, read=False))
        return Head(*(answer.headers.get(name, "") for name in ("etag", "last-modified", "content-length")))

    def finish(self) -> None:
        """Mark the run as complete, so that the next one revalidates every image."""
        self._journal.unlink(missing_ok=True)
        self._done.clear()

    def _document(self, url: str, limit: int, fresh: bool) -> Fetched:
        answer = self._follow(url, _Ask(limit=limit, fresh=fresh, as_it_is=not fresh and url in self._done))
        mime, _, rest = answer.headers.get("content-type", "").lower().partition(";")
        charset = next((part.split("=")[1].strip(" \"'") for part in rest.split(";") if part.strip().startswith("charset=")), "")
        return Fetched(str(answer.url), answer.content, mime.strip(), charset)

    def _follow(self, url: str, ask: _Ask, robots: bool = True) -> httpx.Response:
        target = _checked(url)
        for _ in range(_REDIRECTS + 1):
            if robots:
                self._obey_robots(target)
            answer = self._patiently(target, ask)
            if answer.status_code in _MOVED and "location" in answer.headers:
                target = _next_hop(target, answer.headers["location"])
            elif answer.status_code == HTTPStatus.OK:
                return answer
            else:
                raise FetchError(target, answered(answer.status_code), status=answer.status_code)
        raise FetchError(url, f"redirected more than {_REDIRECTS} times")

    def _patiently(self, url: httpx.URL, ask: _Ask) -> httpx.Response:
        """Send the request, with growing pauses between retries if a failure looks temporary."""
        if reason := self._given_up.get(url.host):
            raise FetchError(url, f"not requested, because {reason}", temporary=True)
        pauses = list(_PAUSES)
        while True:
            try:
                answer = self._send(url, ask)
            except FetchError as error:
                if not error.temporary:
                    raise
                if error.retry_after > _LONGEST_WAIT or not pauses:
                    self._count_failure(url.host, error)
                    raise
                seconds = max(error.retry_after, pauses.pop(0) + random.random())
                self._log(f"{error}; trying again in {seconds:.0f} s")
                self._clock.sleep(seconds)
            else:
                self._failures[url.host] = 0
                return answer

    def _send(self, url: httpx.URL, ask: _Ask) -> httpx.Response:
        headers = self._headers | ({"Cache-Control": "no-cache"} if ask.fresh else {})
        caching = {"rfc": CacheOptions(shared=False, allow_stale=ask.as_it_is)}
        extensions = {"limit": ask.limit, "read": ask.read, "caching": caching}
        request = httpx.Request(ask.method, url, headers=headers, extensions=extensions)
        response = (self._cache if ask.cached else self._network).handle_request(request)
        response.request = request  # it has the final address
        if len(response.read()) > ask.limit:  # cached with a higher limit
            raise too_large(url, ask.limit)
        return response

    def _count_failure(self, host: str, error: FetchError) -> None:
        self._failures[host] = self._failures.get(host, 0) + 1
        if error.retry_after > _LONGEST_WAIT:
            self._given_up[host] = f"{host} asked for a pause of {error.retry_after:.0f} s"
        elif self._failures[host] >= _FAILURES:
            self._given_up[host] = f"{host} failed {_FAILURES} times in a row"
        if host in self._given_up:
            self._log(f"{self._given_up[host]}; it is skipped for now")

    def _obey_robots(self, url: httpx.URL) -> None:
        """RFC 9309, 2.3.1: no robots.txt (4xx) allows everything, an unreachable one nothing."""
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self._robots:
            self._robots[origin] = self._fetch_robots(origin, url.host)
        rules = self._robots[origin]
        if isinstance(rules, FetchError):
            raise FetchError(
                url, f"not fetched, because its host's robots.txt can't be fetched ({rules})", temporary=rules.temporary
            )
        if rules is not None and not rules.can_fetch(str(url), _AGENT):
            raise FetchError(url, f"{origin}/robots.txt forbids fetching it")

    def _fetch_robots(self, origin: str, host: str) -> Protego | FetchError | None:
        try:
            answer = self._follow(f"{origin}/robots.txt", _Ask(limit=_ROBOTS_BYTES), robots=False)
        except FetchError as error:
            return None if 400 <= error.status < 500 and not error.temporary else error
        rules = Protego.parse(answer.content.decode("utf-8", "replace"))
        if delay := rules.crawl_delay(_AGENT):
            self._log(f"{origin}/robots.txt requires {delay:g} s between requests")
            self._network.slow_down(host, delay)
        return rules


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise FetchError(url, "not a valid address") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise FetchError(url, "only http and https are supported")
    if parsed.userinfo:
        raise FetchError(parsed.copy_with(userinfo=b""), "addresses with a user name or password are not supported")
    return parsed.copy_with(fragment=None)


def _next_hop(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return _checked(str(url.join(location)))
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(url, f"redirects to an invalid address ({error})") from None


def _sound(database: Path, log: Callable[[str], None]) -> Path:
    """`database`, which is removed if it is not a SQLite file, because its contents can be fetched again."""
    if database.is_file() and database.stat().st_size:
        with database.open("rb") as file:
            sound = file.read(16) == b"SQLite format 3\0"
        if not sound:
            log(f"{database}: damaged; everything is fetched again")
            for path in database.parent.glob(f"{database.name}*"):
                path.unlink()
    return database


def _read_journal(journal: Path) -> set[str]:
    # After some days the images may have changed, and revalidation is cheap.
    try:
        if time.time() - journal.stat().st_mtime > _JOURNAL_SECONDS:
            journal.unlink()
            return set()
        return set(journal.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return set()
