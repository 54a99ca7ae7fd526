#!/usr/bin/env python3
"""Makes both wheels from a `millstream` program that is already compiled, and shows that they work.

    pack.py BINARY                 millstream-*.whl and millstream_bin-*.whl in ./dist
    pack.py BINARY --out FOLDER    in another folder
    pack.py BINARY --check         also: install both in a new virtual environment, and ask a new cluster something

`pip wheel ./python-bin` makes the same wheel by compiling for half an hour. Needs Python, pip, and `strip` if the
program is to be as small as it can be.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What a wheel may take to install, and a new cluster to answer first, in seconds.
INSTALL_LIMIT = 60.0
ANSWER_LIMIT = 5.0
# Files of a wheel have one date, so that the same program gives the same wheel.
_DATE = (2020, 1, 1, 0, 0, 0)
_EXECUTABLE = 0o100755 << 16
_PLAIN = 0o100644 << 16

_FIRST_ANSWER = """
import time
began = time.perf_counter()
import millstream as ms
client = ms.Client()
assert client.submit(lambda x: x + 1, 41).result(60) == 42
print(time.perf_counter() - began)
"""


def main() -> None:
    """Make the wheels that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the compiled program")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for the wheels [default: dist]")
    parser.add_argument("--check", action="store_true", help="install them, and time that and the first answer")
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK) or arguments.binary.is_dir():
        parser.error(f"{arguments.binary} is no program; `cargo build --release` makes one")
    arguments.out.mkdir(parents=True, exist_ok=True)
    wheels = [pack_program(arguments.binary, arguments.out), pack_package(arguments.out)]
    for wheel in wheels:
        print(f"{wheel}  {wheel.stat().st_size / 1e6:.1f} MB")
    if arguments.check:
        check(wheels)


def pack_package(out: Path) -> Path:
    """Make the wheel of the package, which is pure Python."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--wheel-dir", folder, str(HERE.parent / "python")], check=True)
        (made,) = Path(folder).glob("millstream-*.whl")
        return Path(shutil.move(made, out / made.name))


def pack_program(binary: Path, out: Path) -> Path:
    """Make the wheel that puts the program among an environment's scripts."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    program = stripped(binary)
    tag = f"py3-none-{platform_tag(program)}"
    info = f"{name}-{version}.dist-info"
    about = f"Wheel-Version: 1.0\nGenerator: pack.py\nRoot-Is-Purelib: false\nTag: {tag}\n"
    files = {
        f"{name}-{version}.data/scripts/millstream": (program, _EXECUTABLE),
        f"{info}/METADATA": (metadata(project).encode(), _PLAIN),
        f"{info}/WHEEL": (about.encode(), _PLAIN),
    }
    record = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, (data, _) in files.items())
    files[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), _PLAIN)
    wheel = out / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, (data, mode) in files.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.external_attr = mode
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def metadata(project: dict[str, object]) -> str:
    """The description of the project, in the form of wheels."""
    classifiers = project["classifiers"]
    assert isinstance(classifiers, list)
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        f"License-Expression: {project['license']}",
        *(f"Classifier: {each}" for each in classifiers),
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + (HERE / str(project["readme"])).read_text()


def digest(data: bytes) -> str:
    """The check sum of a file, in the form of wheels."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def stripped(binary: Path) -> bytes:
    """The program without its symbols, which are most of it."""
    strip = shutil.which("strip")
    if strip is None:
        print("pack.py: `strip` (binutils) is not there: the program keeps its symbols", file=sys.stderr)
        return binary.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "millstream"
        subprocess.run([strip, "--strip-all", "-o", str(small), str(binary)], check=True)
        return small.read_bytes()


def platform_tag(program: bytes) -> str:
    """What the program needs of a system: the newest version of the C library that it names."""
    versions = {(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)\b", program)}
    machine = platform.machine()
    if not versions:
        return f"linux_{machine}"
    major, minor = max(versions)
    return f"manylinux_{major}_{minor}_{machine}"


def check(wheels: list[Path]) -> None:
    """Install the wheels as a user would, far from the sources, and ask something; fail if it takes too long."""
    # No program but the wheel's may be found, and no package but the wheel's.
    hidden = ("MILLSTREAM_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment["PATH"] = os.defpath
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, env=environment)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *map(str, wheels)], check=True, env=environment, cwd=folder)
        installed = time.perf_counter() - began
        answer = subprocess.run(
            [python, "-c", _FIRST_ANSWER], check=True, env=environment, cwd=folder, capture_output=True, text=True
        )
    answered = float(answer.stdout)
    print(f"new environment with both wheels: {installed:.1f} s (limit {INSTALL_LIMIT:.0f} s)")
    print(f"first answer of a new cluster:    {answered:.1f} s (limit {ANSWER_LIMIT:.0f} s)")
    if installed > INSTALL_LIMIT or answered > ANSWER_LIMIT:
        sys.exit("pack.py: too slow")


if __name__ == "__main__":
    main()
