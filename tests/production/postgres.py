"""A real PostgreSQL: the one that METEROPS_TEST_POSTGRES names, or a private cluster from binaries found on this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import missing

BINARIES = Path("/usr/lib/postgresql")


def find_binaries() -> Path | None:
    """The newest installed server's programs."""
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Its address, with the name of a database that exists; skips or fails where there is none to be had."""
    given = os.environ.get("METEROPS_TEST_POSTGRES")
    if given:
        yield given
        return
    binaries = find_binaries()
    if binaries is None:
        missing("no PostgreSQL: install Debian's postgresql, or set METEROPS_TEST_POSTGRES to an address")
        return
    with (
        tempfile.TemporaryDirectory(prefix="meterops-postgres-") as folder,
        _cluster(binaries, Path(folder)) as address,
    ):
        yield address


@contextlib.contextmanager
def _cluster(binaries: Path, folder: Path) -> Iterator[str]:
    """Start a cluster in a folder; PostgreSQL refuses root, so root lends it to an unprivileged user."""
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = folder / "data", _free_port()

    def run(*command: str | Path) -> None:
        subprocess.run(
            list(map(str, command)),
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)},
        )

    run(binaries / "initdb", "--pgdata", data, "--username", "meterops", "--auth", "trust", "--encoding", "UTF8")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    control = (binaries / "pg_ctl", "--pgdata", data, "--wait")
    run(*control, "--log", folder / "log", "--options", options, "start")
    # Where the tests are killed nothing below is reached, so a shell waits for the end of its input, which is the end of ours.
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'read _; kill -QUIT "$1"', "sh", (data / "postmaster.pid").read_text().split()[0]],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        run(binaries / "createdb", "--host", "127.0.0.1", "--port", str(port), "--username", "meterops", "meterops")
        yield f"postgresql://meterops@127.0.0.1:{port}/meterops"
    finally:
        guard.kill()
        guard.communicate()
        run(*control, "--mode", "immediate", "stop")


def _unprivileged() -> pwd.struct_passwd | None:
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
