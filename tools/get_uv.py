"""Put uv at .tools/bin/uv with nothing but Python: from pip where there is one, else straight from the package index.

Run by `make install`. A fresh Debian has python3 without pip and without ensurepip, so neither may be taken for granted.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.8"
TOOLS = Path(__file__).resolve().parents[1] / ".tools"
INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
PLATFORMS = {
    ("Linux", "x86_64"): "manylinux_2_17_x86_64",
    ("Linux", "aarch64"): "manylinux_2_17_aarch64",
    ("Darwin", "arm64"): "macosx_11_0_arm64",
    ("Darwin", "x86_64"): "macosx_10_12_x86_64",
}


def main() -> int:
    """Return 0 when uv is there in the wanted version."""
    if sys.version_info < (3, 11):  # noqa: UP036  this script is what tells people so
        print(f"Meterops needs Python 3.11 or later; {sys.executable} is {platform.python_version()}.", file=sys.stderr)
        return 1
    binary = TOOLS / "bin" / "uv"
    if binary.exists() and VERSION in _output(str(binary), "--version"):
        return 0
    TOOLS.mkdir(exist_ok=True)
    for attempt in (_with_pip, _from_index):
        try:
            attempt()
        except (OSError, subprocess.CalledProcessError, KeyError, StopIteration, ValueError) as error:
            print(f"get_uv: {attempt.__name__.strip('_').replace('_', ' ')} did not work: {error}", file=sys.stderr)
        if binary.exists():
            return 0
    print(f"uv {VERSION} could not be fetched; is the package index reachable?", file=sys.stderr)
    return 1


def _with_pip() -> None:
    target = TOOLS / "pip"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), f"uv=={VERSION}"]
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    _install((target / "bin" / "uv").read_bytes())
    shutil.rmtree(target)


def _from_index() -> None:
    wanted = PLATFORMS[platform.system(), platform.machine()]
    request = urllib.request.Request(f"{INDEX}/uv/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    file = next(f for f in files if f["filename"].startswith(f"uv-{VERSION}-") and wanted in f["filename"])
    with urllib.request.urlopen(file["url"], timeout=300) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != file["hashes"]["sha256"]:
        raise ValueError(f"{file['filename']} does not have the hash that the index gives")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        _install(archive.read(next(name for name in archive.namelist() if name.endswith("/scripts/uv"))))


def _install(program: bytes) -> None:
    binary = TOOLS / "bin" / "uv"
    binary.parent.mkdir(exist_ok=True)
    binary.write_bytes(program)
    binary.chmod(0o755)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
