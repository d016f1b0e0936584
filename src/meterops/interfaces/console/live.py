"""The stream of hints: one long answer per browser that says which topics changed, never what changed.

One task per process reads the tail of the hint table and hands each hint to every open stream's bounded queue; a stream that
cannot follow is told to load everything anew. The stream itself asks no database: an idle one must not hold a connection.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from meterops.kernel import hints
from meterops.kernel.hints import HintRecord

log = logging.getLogger(__name__)

POLL_S = 0.3
BEAT_S = 3.0
"""The page shouts after eight seconds of silence, so something is said well within."""
COMMENT_S = 15.0
STREAM_S = 600.0
"""A stream ends after this long and the browser opens the next: whoever signed out is not told for ever."""
QUEUE_LENGTH = 200
KEPT = 500

Queue = asyncio.Queue[HintRecord | None]


class Tail:
    """The one reader of the hint table in this process; it runs while there is a stream to feed."""

    def __init__(self) -> None:
        self._queues: set[Queue] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="hints")

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[Queue]:
        """A queue that receives every hint from now on; None in it means that some were dropped."""
        queue: Queue = asyncio.Queue(QUEUE_LENGTH)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._task, self._queues = loop, None, set()
        self._queues.add(queue)
        if self._task is None or self._task.done():
            tail = await loop.run_in_executor(self._reader, _begin)
            if self._task is None or self._task.done():
                self._task = loop.create_task(self._run(tail))
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def _run(self, tail: hints.Tail) -> None:
        loop = asyncio.get_running_loop()
        while self._queues:
            try:
                found = await loop.run_in_executor(self._reader, _read_on, tail)
            except Exception:
                log.exception("the hint table could not be read; it is tried again")
                found = []
            for record in found:
                for queue in self._queues:
                    _offer(queue, record)
            await asyncio.sleep(POLL_S)


def _offer(queue: Queue, record: HintRecord) -> None:
    """Hand a hint over; where the reader is too slow, all of its backlog becomes one "load anew"."""
    if not queue.full():
        queue.put_nowait(record)
        return
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def _read_after(last_id: int) -> list[HintRecord]:
    close_old_connections()
    try:
        return hints.after(last_id, limit=KEPT)
    finally:
        close_old_connections()


def _read_on(tail: hints.Tail) -> list[HintRecord]:
    close_old_connections()
    try:
        return tail.read(KEPT)
    finally:
        close_old_connections()


def _begin() -> hints.Tail:
    try:
        return hints.Tail()
    finally:
        close_old_connections()


_tail = Tail()


async def stream(request: HttpRequest) -> HttpResponseBase:
    """GET /live: server-sent events `hint` ({topic, ref}), `beat` and `resync`, resumed by `Last-Event-ID`."""
    user = await request.auser()
    missed = await sync_to_async(_read_after)(_last_seen(request)) if _last_seen(request) else []
    # The connection that the session was read over would otherwise stay open as long as the stream.
    await sync_to_async(connections.close_all)()
    if not user.is_authenticated:
        return HttpResponse(status=401)
    response = StreamingHttpResponse(_events(missed), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _last_seen(request: HttpRequest) -> int:
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


async def _events(missed: list[HintRecord]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + STREAM_S
    async with _tail.follow() as queue:
        yield b"retry: 2000\n" + _beat()
        for event in _catch_up(missed):
            yield event
        comment_at = loop.time() + COMMENT_S
        while loop.time() < ends_at:
            try:
                record = await asyncio.wait_for(queue.get(), BEAT_S)
            except TimeoutError:
                yield _beat()
            else:
                yield _hint(record)
            if loop.time() >= comment_at:
                comment_at = loop.time() + COMMENT_S
                yield b": still here\n\n"


def _catch_up(missed: list[HintRecord]) -> list[bytes]:
    """What a stream that was away has to know; after too long, that everything may have changed."""
    if len(missed) >= KEPT:
        return [_hint(None)]
    return [_hint(record) for record in missed]


def _beat() -> bytes:
    return b"event: beat\ndata: {}\n\n"


def _hint(record: HintRecord | None) -> bytes:
    if record is None:
        return b"event: resync\ndata: {}\n\n"
    body = json.dumps({"topic": record.topic, "ref": record.reference})
    return f"id: {record.id}\nevent: hint\ndata: {body}\n\n".encode()
