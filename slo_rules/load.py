"""SLO files → SLOs: reads text under bounds, and says which file and document is at fault.

Files are read as one set: an SLI in one serves an SLO in another, and one fault anywhere gives no SLO at all.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.openslo.documents import DocumentSet, parse_set
from slo_rules.openslo.faults import Attempts
from slo_rules.openslo.reader import TEXT_BYTES_MAX, decode

FILE_BYTES_MAX = TEXT_BYTES_MAX
FILES_MAX = 2_000
"""As many as SLOs, and some for what they share."""
OBJECTIVES = Path(__file__).parent / "objectives"
"""The objectives that ship with the product."""


def default_paths() -> tuple[Path, ...]:
    """Every shipped SLO file, in name order."""
    return tuple(sorted(OBJECTIVES.glob("*.yaml")))


def load_files(paths: Iterable[Path]) -> tuple[Slo, ...]:
    """Every SLO of every file, in order; `SloError.field` reads `file.yaml[1].spec.objectives[0].target`."""
    return load_set(paths).slos


def load_set(paths: Iterable[Path]) -> DocumentSet:
    """The same with what was not used; several faults come as one `SloFaults`."""
    files = tuple(paths)
    if len(files) > FILES_MAX:
        raise SloError("files", f"{len(files)} are more than {FILES_MAX}", "load them in several sets")
    names = Counter(path.name for path in files)
    attempts = Attempts()
    texts = [(path.name if names[path.name] == 1 else str(path), attempts.make(_read, path)) for path in files]
    decoded = [attempts.make(decode, text, source) for source, text in texts if text is not None]
    attempts.finish()  # what an unreadable file defines would be missed by the others: first things first
    return parse_set(document for documents in decoded for document in documents or ())


def load_documents(text: str, *, source: str) -> tuple[Slo, ...]:
    """Every SLO of a YAML text. An SLO that could not be compiled is refused here, where its author reads it."""
    return parse_set(decode(text, source)).slos


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise SloError(path.name, f"{size} bytes are more than {FILE_BYTES_MAX}", "split the file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SloError(str(path), "cannot be read", "name a readable UTF-8 file") from error
