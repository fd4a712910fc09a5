"""Builds the Debian package of the agent: an environment of its own in /opt/trimtab, and the files that `install` would write.

The package is for the Python of the Debian release it is built on: Debian's own interpreter, not a private one, so that
security updates of Python reach the agent without a new package. Needs dpkg-deb and that release's python3-venv; not root.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from trimtab.host.artefacts import Artefact, packaged

PREFIX = "/opt/trimtab"
INTERPRETER = "/usr/bin/python3"
STEP_TIMEOUT_S = 300.0
NAME = "trimtab-agent"
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: Trimtab maintainers <maintainers@trimtab.invalid>
Section: admin
Priority: optional
Installed-Size: {kilobytes}
Depends: python3 (>= {python}), python3 (<< {python_next}), systemd, ca-certificates
Recommends: logrotate, polkitd | policykit-1
Suggests: docker.io, nvidia-smi
Description: eyes and hands of Trimtab on a GPU host
 Watches the text-to-speech replicas of this host, heals hung and crashed ones within a
 budget, exports GPU and host metrics, and carries out the controller's orders once each.
"""
CONFFILES = "/etc/logrotate.d/trimtab\n"
POSTINST = """\
#!/bin/sh
# Settings are the administrator's: `install` writes them once, and offers news beside them as agent.env.new. A running agent is
# restarted with the new version; its replicas are taken over, or started again where they are its children.
set -e
if [ "$1" = configure ]; then
  # The service may not write there: without this every start would compile everything again.
  {prefix}/bin/python -m compileall -q {prefix}/lib || true
  {prefix}/bin/trimtab agent install
  if [ -d /run/systemd/system ] && systemctl is-active --quiet {unit}; then systemctl restart {unit}; fi
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now {unit} || true; fi
"""
POSTRM = """\
#!/bin/sh
# Removing keeps settings and journal; purging takes both, and the drop-in.
set -e
if [ "$1" = purge ]; then rm -rf /etc/trimtab /var/lib/trimtab; fi
if [ "$1" = remove ] || [ "$1" = purge ]; then
  rm -rf /etc/systemd/system/{unit}.d
  # Compiled modules, which no list of the package names.
  rm -rf {prefix}
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
"""


def main() -> int:
    """Exit code 0, or 1 with what a step said."""
    parser = argparse.ArgumentParser(description="Build the agent's Debian package.")
    parser.add_argument("--wheels", type=Path, required=True, help="folder with every wheel (make wheels-agent)")
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the package")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            package = build(arguments.wheels, arguments.version, arguments.output, Path(scratch) / NAME)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{' '.join(map(str, error.cmd))} ended with code {error.returncode}\n")
        return 1
    sys.stdout.write(f"{package}\n")
    return 0


def build(wheels: Path, version: str, output: Path, tree: Path) -> Path:
    """The package's path; `tree` is where its files are put together."""
    make_environment(tree, wheels)
    for artefact in packaged():
        place(tree, artefact)
    link = tree / "usr/bin/trimtab"
    link.parent.mkdir(parents=True)
    link.symlink_to(f"{PREFIX}/bin/trimtab")
    document = tree / "usr/share/doc/trimtab/README.md"
    document.parent.mkdir(parents=True)
    document.write_bytes((Path(__file__).resolve().parents[1] / "README.md").read_bytes())
    architecture = answer("dpkg", "--print-architecture")
    describe(tree, version, architecture)
    output.mkdir(parents=True, exist_ok=True)
    package = output / f"{NAME}_{version}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "--build", tree, package)
    return package


def make_environment(tree: Path, wheels: Path) -> None:
    """A virtual environment that believes to be in /opt/trimtab, without the tools that made it."""
    prefix = tree / PREFIX.lstrip("/")
    run(INTERPRETER, "-m", "venv", prefix)
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check")
    run(prefix / "bin/python", "-m", "pip", *install, *sorted(wheels.glob("*.whl")))
    run(prefix / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools")
    for cache in [*prefix.rglob("__pycache__")]:
        run("rm", "-rf", cache)
    for script in (prefix / "bin").iterdir():
        if script.name.lower().startswith("activate"):
            script.unlink()
        elif not script.is_symlink():
            script.write_bytes(script.read_bytes().replace(str(prefix).encode(), PREFIX.encode()))
    settings = prefix / "pyvenv.cfg"
    settings.write_text(settings.read_text(encoding="utf-8").replace(str(prefix), PREFIX), encoding="utf-8")


def place(tree: Path, artefact: Artefact) -> None:
    """One file of the installation, as the package's."""
    path = tree / artefact.path.relative_to("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(artefact.content, encoding="utf-8")
    path.chmod(artefact.mode)


def describe(tree: Path, version: str, architecture: str) -> None:
    """DEBIAN/: what the package is, and what happens around its files."""
    major, minor = answer(INTERPRETER, "-c", "import sys; print(*sys.version_info[:2])").split()
    control = tree / "DEBIAN"
    control.mkdir()
    unit = "trimtab-agent.service"
    kilobytes = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    text = CONTROL.format(
        name=NAME, version=version, architecture=architecture, kilobytes=kilobytes,
        python=f"{major}.{minor}", python_next=f"{major}.{int(minor) + 1}",
    )  # fmt: skip
    (control / "control").write_text(text, encoding="utf-8")
    (control / "conffiles").write_text(CONFFILES, encoding="utf-8")
    for name, script in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
        (control / name).write_text(script.format(prefix=PREFIX, unit=unit), encoding="utf-8")
        (control / name).chmod(0o755)


def run(*argv: object) -> None:
    """One step, bounded; raises `CalledProcessError`."""
    subprocess.run([str(word) for word in argv], check=True, timeout=STEP_TIMEOUT_S)


def answer(*argv: str) -> str:
    """What a program says."""
    return subprocess.run(argv, check=True, timeout=STEP_TIMEOUT_S, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
