"""Compiles the library once per version of its sources: a stamp beside it names the sources it was made from.

The compiler runs in a temporary directory and the result is renamed into place, so a reader that starts meanwhile loads
the old library or the new one, never half of one.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from agent.simulated_gpus.errors import BuildError, CompilerMissingError
from agent.simulated_gpus.layout import layout_assertions

SOURCES = Path(__file__).parent / "nvml"
LIBRARY = "libnvidia-ml.so.1"
"""The name that readers of GPUs load; as the library's own name too, so that a copy loaded by path serves them as well."""
STAMP = "libnvidia-ml.so.1.sources"
ASSERTIONS = "layout_assertions.c"
"""Made from `layout.py`. Loading the library to compare would leave it in this process, in a real one's place."""
FLAGS = ("-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread")
COMPILE_TIMEOUT_S = 120.0
"""A second on an idle machine; past this the machine is the fault."""


def build(directory: Path) -> Path:
    """The library in `directory`, compiled if its sources changed.

    Raises `CompilerMissingError` with the command that installs one, or `BuildError` with what the compiler said.
    """
    library, stamp = directory / LIBRARY, directory / STAMP
    wanted = sources_digest()
    if library.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return library
    compiler = shutil.which("cc")
    if compiler is None:
        msg = "no C compiler (cc). Run `trimtab setup --dev`, or: sudo apt-get install -y gcc libc6-dev"
        raise CompilerMissingError(msg)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        assertions = Path(scratch) / ASSERTIONS
        assertions.write_text(layout_assertions(), encoding="utf-8")
        made = Path(scratch) / LIBRARY
        _compile(compiler, made, assertions)
        made.replace(library)
    stamp.write_text(wanted, encoding="utf-8")
    return library


def sources_digest() -> str:
    """Changes when any source, any flag or the mirror of the layout does."""
    digest = hashlib.sha256(" ".join(FLAGS).encode() + layout_assertions().encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


def _compile(compiler: str, output: Path, assertions: Path) -> None:
    sources = [*sorted(SOURCES.glob("*.c")), assertions]
    argv = [compiler, *FLAGS, f"-I{SOURCES}", f"-Wl,-soname,{LIBRARY}", "-o", str(output), *map(str, sources)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{compiler} did not compile the simulated library"
        raise BuildError(msg) from error
    if done.returncode != 0:
        msg = f"{compiler} refused the simulated library (exit code {done.returncode}):\n{done.stderr.strip()}"
        raise BuildError(msg)
