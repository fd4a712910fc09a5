"""docs/slos.md is held to the code: its documents compile, and it names every field, annotation and bound there is."""

import re
from datetime import date
from pathlib import Path

import pytest

from contracts.vocabulary import Region
from slo_rules.compiler import compile_slos
from slo_rules.indicators import PARTS_MAX
from slo_rules.load import load_documents
from slo_rules.model import EXCLUSIONS_MAX, OBJECTIVE_MAX, OBJECTIVE_MIN
from slo_rules.openslo.annotations import KNOWN
from slo_rules.openslo.faults import FAULTS_MAX
from slo_rules.openslo.reader import DEPTH_MAX, VALUES_MAX
from slo_rules.openslo.schema import (
    KINDS,
    TEXT_CHARS_MAX,
    Calendar,
    Metadata,
    Objective,
    QuerySpec,
    SloSpec,
    TimeWindow,
)
from slo_rules.openslo.windows import ANCHOR, CALENDAR_DURATIONS

REFERENCE = (Path(__file__).parents[3] / "docs" / "slos.md").read_text(encoding="utf-8")
DOCUMENTS = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


@pytest.mark.parametrize("text", DOCUMENTS, ids=lambda text: re.search(r"name: (\S+)", text)[1])
def test_its_documents_compile(text):
    slos = load_documents(text, source="slos.md")
    assert compile_slos(slos, (Region("eu-west"),), date(2026, 8, 1)).groups


def test_there_are_documents():
    assert len(DOCUMENTS) == 3


def test_it_names_everything_that_a_document_may_say():
    shapes = (Metadata, SloSpec, Objective, TimeWindow, Calendar, QuerySpec)
    fields = {name for shape in shapes for name in shape.model_fields}
    missing = [name for name in (*fields, *KINDS, *KNOWN, *CALENDAR_DURATIONS, ANCHOR) if name not in REFERENCE]
    assert missing == []


def test_its_bounds_are_those_of_the_code():
    assert f"{OBJECTIVE_MIN} to {OBJECTIVE_MAX}" in REFERENCE
    assert f"{TEXT_CHARS_MAX:,} characters" in REFERENCE
    assert f"beyond {VALUES_MAX:,} values" in REFERENCE
    assert f"beyond {DEPTH_MAX}," in REFERENCE
    assert f"at most {EXCLUSIONS_MAX}" in REFERENCE
    assert (PARTS_MAX, FAULTS_MAX) == (20, 20)
    assert "two to twenty other SLOs" in REFERENCE
    assert "Up to twenty come at once" in REFERENCE
