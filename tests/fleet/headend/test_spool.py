"""Frames on disk: what was written whole is read again, whatever else is in the file, and nobody's file is taken while he lives."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.fleet.headend.push import PushFrame
from meterops.fleet.headend.spool import FrameSpool, decode_frames, encode_frame

FRAMES = st.builds(
    PushFrame,
    apdu=st.binary(max_size=80),
    transport=st.sampled_from(["tcp", "udp"]),
    peer=st.text(max_size=20),
    received_at=st.floats(0, 4e9),
    fault=st.text(max_size=30),
)


@given(st.lists(FRAMES, max_size=6), st.integers(0, 400))
def test_a_file_that_is_cut_off_gives_every_frame_before_the_cut(frames: list[PushFrame], cut: int) -> None:
    records = [encode_frame(frame) for frame in frames]
    octets = b"".join(records)[:cut]
    whole = [frame for n, frame in enumerate(frames) if sum(map(len, records[: n + 1])) <= cut]
    assert list(decode_frames(octets)) == whole


@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
def test_a_damaged_record_ends_the_reading_and_invents_nothing(frames: list[PushFrame], data: st.DataObject) -> None:
    records = [encode_frame(frame) for frame in frames]
    octets = bytearray(b"".join(records))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    found = list(decode_frames(bytes(octets)))
    whole = [frame for n, frame in enumerate(frames) if sum(map(len, records[: n + 1])) <= at]
    assert found == whole


@given(st.binary(max_size=300))
def test_any_octets_are_read_without_a_fault(octets: bytes) -> None:
    list(decode_frames(octets))


def frame(number: int) -> PushFrame:
    return PushFrame(bytes([number]), "tcp", "192.0.2.1:4059", 1.5 * number)


def test_files_of_the_living_are_left_alone_and_those_of_the_dead_taken_once(tmp_path: Path) -> None:
    living, dead = FrameSpool(tmp_path), FrameSpool(tmp_path / "dead")
    living.write(frame(1))
    living.turn()
    living.write(frame(2))
    dead.write(frame(3))
    dead.turn()
    dead.write(frame(4))
    assert list(FrameSpool(tmp_path).orphans()) == []
    for path, file in [*dead._turned, (dead._path, dead._file or 0)]:
        path.rename(tmp_path / f"0-{path.name}")
        os.close(file)
    assert list(FrameSpool(tmp_path).orphans()) == [[frame(3)], [frame(4)]]
    assert list(FrameSpool(tmp_path).orphans()) == []
    living.drop_turned()
    assert len(list(tmp_path.glob("*.frames"))) == 1


def test_a_lake_that_takes_nothing_costs_no_file_a_flush(tmp_path: Path) -> None:
    spool = FrameSpool(tmp_path)
    for number in range(9):
        spool.write(frame(number))
        spool.turn()
    assert len(list(tmp_path.glob("*.frames"))) == 2
    spool.drop_turned()
    spool.write(frame(9))
    (left,) = tmp_path.glob("*.frames")
    assert list(decode_frames(left.read_bytes())) == [frame(number) for number in range(1, 10)]


def test_a_folder_shared_with_a_process_of_the_same_number_is_no_trouble(tmp_path: Path) -> None:
    one, other = FrameSpool(tmp_path), FrameSpool(tmp_path)
    one.write(frame(1))
    other.write(frame(2))
    assert len(list(tmp_path.glob("*.frames"))) == 2


def test_a_full_disk_is_said_and_costs_no_other_frame(tmp_path: Path) -> None:
    spool, size = FrameSpool(tmp_path), len(encode_frame(frame(1)))
    spool.write(frame(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, hard))
    try:
        with pytest.raises(OSError, match="in part"):
            spool.write(frame(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.write(frame(3))
    assert list(decode_frames(spool._path.read_bytes())) == [frame(1), frame(3)]
