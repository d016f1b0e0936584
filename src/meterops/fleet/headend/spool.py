"""What was taken from a socket and is not in the lake yet, on disk: a killed listener loses nothing that it has read.

One file at a time, a record a frame, written before the next octet is read. Writing goes to the operating system, not through to
the disk: the death of the process costs nothing, the loss of power the last second. A file that nobody holds is an orphan;
the next listener that starts stores what is in it.
"""

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meterops.fleet.headend.push import PushFrame

_HEAD: Final = struct.Struct(">dBHHI")
"""Received at (epoch seconds), then the lengths of transport, peer, fault and APDU; a CRC-32 of all follows the record."""
_CRC: Final = struct.Struct(">I")
_SUFFIX: Final = ".frames"


class FrameSpool:
    """The files of one listener in a folder that others may share."""

    def __init__(self, folder: Path) -> None:
        """Create the folder where it is missing; nothing is written before the first frame."""
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file: int | None = None
        self._path = Path()
        self._number = 0
        self._turned: list[tuple[Path, int]] = []

    def write(self, frame: PushFrame) -> None:
        """Keep a frame. Raises `OSError` when the disk is full or gone; half a record would hide those after it, so none stays."""
        if self._file is None:
            self._file = self._open()
        record = encode_frame(frame)
        written = os.write(self._file, record)
        if written != len(record):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(f"{self._path}: a frame was written in part")

    def turn(self) -> None:
        """Go on in another file: what was written so far is about to be stored.

        Not while an earlier file waits: a lake that takes nothing for an hour must not cost a file a second.
        """
        if self._file is not None and not self._turned:
            self._turned.append((self._path, self._file))
            self._file = None

    def drop_turned(self) -> None:
        """Forget the files that were turned: what they hold is in the lake."""
        for path, file in self._turned:
            path.unlink(missing_ok=True)
            os.close(file)
        self._turned.clear()

    def orphans(self) -> Iterator[list[PushFrame]]:
        """The frames of every file that a dead listener left; each file goes when the caller asks for the next."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # its listener lives
                    continue
                if not os.fstat(file.fileno()).st_nlink:  # another one has just taken it over
                    continue
                yield list(decode_frames(file.read()))
                path.unlink(missing_ok=True)

    def _open(self) -> int:
        while True:
            self._number += 1
            try:
                file = self._create()
            except FileExistsError:  # of another host or container that shares the folder
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:  # else a listener that was starting took it for an orphan
                return file
            os.close(file)

    def _create(self) -> int:
        self._path = self._folder / f"{os.getpid()}-{self._number:06}{_SUFFIX}"
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)


def encode_frame(frame: PushFrame) -> bytes:
    """A record."""
    texts = [text.encode()[:0xFFFF] for text in (frame.transport[:255], frame.peer, frame.fault)]
    head = _HEAD.pack(frame.received_at, *map(len, texts), len(frame.apdu))
    record = b"".join((head, *texts, frame.apdu))
    return record + _CRC.pack(zlib.crc32(record))


def decode_frames(octets: bytes) -> Iterator[PushFrame]:
    """The records of a file up to the first that is cut off or damaged: a process killed while it writes leaves half of one."""
    offset = 0
    while offset + _HEAD.size <= len(octets):
        received_at, *lengths = _HEAD.unpack_from(octets, offset)
        end = offset + _HEAD.size + sum(lengths)
        if end + _CRC.size > len(octets) or _CRC.unpack_from(octets, end)[0] != zlib.crc32(octets[offset:end]):
            return
        at, parts = offset + _HEAD.size, []
        for length in lengths:
            parts.append(octets[at : at + length])
            at += length
        transport, peer, fault = (part.decode(errors="replace") for part in parts[:3])
        yield PushFrame(parts[3], transport, peer, received_at, fault)
        offset = end + _CRC.size
