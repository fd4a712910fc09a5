"""An image of a few links and empty directories: Python and its libraries are mounted from the host.

It needs no registry and weighs nothing, so tests and measurements run real containers on any Docker engine.
"""

import io
import sys
import tarfile
from pathlib import Path

import docker

IMAGE = "trimtab-test-python:1"
PYTHON = f"{sys.base_prefix}/bin/python3"
"""Inside and outside of the containers."""


def binds(code: Path) -> tuple[str, ...]:
    """The host's Python, its libraries, and `code` at /app."""
    return ("/usr:/usr:ro", f"{sys.base_prefix}:{sys.base_prefix}:ro", f"{code}:/app:ro")


def ensure_image(base_url: str | None = None) -> str:
    """Make the image unless the engine has it; returns its name."""
    client = docker.DockerClient(base_url=base_url) if base_url else docker.from_env()
    try:
        if not client.images.list(name=IMAGE):
            repository, _, tag = IMAGE.partition(":")
            client.api.import_image_from_data(_tar(), repository=repository, tag=tag)
    finally:
        client.close()
    return IMAGE


def _tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("usr", "tmp", "proc", "sys", "dev", "etc", "app", "run", "sbin"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        users = b"root:x:0:0::/:/bin/sh\n"
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = len(users)
        tar.addfile(passwd, io.BytesIO(users))
    return content.getvalue()
