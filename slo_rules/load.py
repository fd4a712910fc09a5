"""SLO files → SLOs: reads text, hands each document to `openslo`, and says which file and document is at fault."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.openslo import located, parse_document
from slo_rules.tiers import derive_tiers

FILE_BYTES_MAX = 1_048_576
"""A thousand documents with long descriptions; more is not a file of SLOs."""
OBJECTIVES = Path(__file__).parent / "objectives"
"""The objectives that ship with the product."""


def default_paths() -> tuple[Path, ...]:
    """Every shipped SLO file, in name order."""
    return tuple(sorted(OBJECTIVES.glob("*.yaml")))


def load_files(paths: Iterable[Path]) -> tuple[Slo, ...]:
    """Every SLO of every file, in order; `SloError.field` reads `file.yaml[1].spec.objectives[0].target`."""
    return tuple(slo for path in paths for slo in load_documents(_read(path), source=path.name))


def load_documents(text: str, *, source: str) -> tuple[Slo, ...]:
    """Every document of a YAML text. An SLO that could not be compiled is refused here, where its author reads it."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise SloError(
            source, f"not valid YAML: {_one_line(error)}", "check the indentation around that line"
        ) from error
    if not documents:
        raise SloError(source, "holds no document", "write at least one SLO")
    return tuple(_parse(document, where=f"{source}[{index}]") for index, document in enumerate(documents))


def _parse(document: object, *, where: str) -> Slo:
    try:
        slo = parse_document(document)
        derive_tiers(slo)
    except SloError as error:
        fault = located(error)
        raise SloError(f"{where}.{fault.field}", fault.problem, fault.fix) from error
    return slo


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise SloError(path.name, f"{size} bytes are more than {FILE_BYTES_MAX}", "split the file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SloError(str(path), "cannot be read", "name a readable UTF-8 file") from error


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())
