"""The file tree that is installed into: the host itself, or a folder that will become one (`--root`).

Writes are atomic: a crash leaves the former file or the new one, and at no moment is a secret readable by others.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trimtab.host.artefacts import Artefact
from trimtab.host.errors import InstallError

BYTES_MAX = 1_000_000
"""Far more than any file we write; a file larger than that is not ours."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there."""

    content: str
    mode: int
    group_id: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Paths as the installed host sees them, below `root`."""

    root: Path

    @property
    def is_this_host(self) -> bool:
        """True when the tree is the running system."""
        return self.root == Path("/")

    def real(self, path: PurePosixPath) -> Path:
        """Where `path` of the installed host is for us."""
        return self.root / path.relative_to("/")

    def look(self, path: PurePosixPath) -> Found | None:
        """The file there; None when there is none. Raises `InstallError` for one that is not a readable text file."""
        real = self.real(path)
        try:
            state = real.stat()
            if state.st_size > BYTES_MAX:
                msg = f"{real} is larger than {BYTES_MAX} bytes: it is not a file of ours"
                raise InstallError(msg)
            return Found(real.read_text(encoding="utf-8"), state.st_mode & 0o7777, state.st_gid)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            msg = f"cannot read {real}: {error}"
            raise InstallError(msg) from error

    def group_id(self, name: str) -> int | None:
        """Number of a group of the installed host; None when it has no such group (yet)."""
        try:
            lines = self.real(PurePosixPath("/etc/group")).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        fields = (line.split(":") for line in lines)
        return next((int(entry[2]) for entry in fields if entry[0] == name and len(entry) > 2), None)  # noqa: PLR2004

    def write(self, artefact: Artefact) -> None:
        """Put the file there with its mode and group; one that only root may read until its group exists."""
        group_id = self.group_id(artefact.group)
        mode = artefact.mode if group_id is not None or artefact.group == "root" else artefact.mode & 0o700
        real = self.real(artefact.path)
        beside = real.with_name(f".{real.name}.installing")
        try:
            self._refuse_way_out(real.parent)
            real.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(artefact.content)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), 0, group_id or 0)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(real)
        except OSError as error:
            msg = f"cannot write {real}: {error}"
            raise InstallError(msg) from error

    def permit(self, artefact: Artefact) -> None:
        """Give a file that stays as it is the owner and mode it should have."""
        real, group_id = self.real(artefact.path), self.group_id(artefact.group)
        try:
            self._refuse_way_out(real)
            if os.geteuid() == 0:
                os.chown(real, 0, group_id or 0)
            real.chmod(artefact.mode if group_id is not None else artefact.mode & 0o700)
        except OSError as error:
            msg = f"cannot set the mode of {real}: {error}"
            raise InstallError(msg) from error

    def remove(self, path: PurePosixPath) -> None:
        """Take a file away, and its folder when that was its last."""
        real = self.real(path)
        try:
            self._refuse_way_out(real.parent)
            real.unlink(missing_ok=True)
            if real.parent.name.endswith(".d") and real.parent.is_dir() and not any(real.parent.iterdir()):
                real.parent.rmdir()
        except OSError as error:
            msg = f"cannot remove {real}: {error}"
            raise InstallError(msg) from error

    def _refuse_way_out(self, real: Path) -> None:
        """A link in somebody's folder, or an absolute one in an image, must not make root change the system it works on."""
        if not real.resolve().is_relative_to(self.root.resolve()):
            msg = f"{real} leads out of {self.root}"
            raise InstallError(msg)


def may_change(tree: Tree) -> bool:
    """Whether we may write there: the host is root's, a folder its owner's."""
    return not tree.is_this_host or os.geteuid() == 0
