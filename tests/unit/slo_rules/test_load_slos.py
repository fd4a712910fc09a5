"""SLO documents: what is accepted, and how a refusal names the place and the fix."""

import pytest
import yaml

from contracts.vocabulary import SliKind
from slo_rules.errors import SloError, SloFaults
from slo_rules.indicators import ExactCounters
from slo_rules.load import FILE_BYTES_MAX, default_paths, load_documents, load_files


def document(**changes) -> dict:
    """A valid document; `changes` maps `a.b` paths to values, None removes."""
    base = {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": "speech", "annotations": {"trimtab/threshold": "200ms"}},
        "spec": {"timeWindow": [{"duration": "30d", "isRolling": True}], "objectives": [{"target": 0.95}]},
    }
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = base
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return base


def load(**changes):
    return load_documents(yaml.safe_dump(document(**changes)), source="slos.yaml")


def test_the_shipped_objective_is_p95_of_the_whole_answer_within_200_ms():
    (slo,) = load_files(default_paths())
    assert (slo.id, slo.objective, slo.indicator) == ("speech-latency", 0.95, ExactCounters(0.2, SliKind.TOTAL))
    assert (slo.window.seconds, slo.page_within_s) == (30 * 86_400, 480.0)


def test_every_document_of_a_file_is_read_in_order():
    text = "---\n".join(yaml.safe_dump(document(**{"metadata.name": name})) for name in ("b", "a"))
    assert [slo.id for slo in load_documents(text, source="slos.yaml")] == ["b", "a"]


def test_what_is_left_out_has_a_default():
    (slo,) = load(**{"spec.timeWindow": None})
    assert (slo.window.seconds, slo.page_within_s, slo.exact.sli, slo.owner) == (30 * 86_400, 480.0, SliKind.TOTAL, "")


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("0.2s", 0.2), ("1m", 60.0), ("1.5s", 1.5)])
def test_a_threshold_is_exact(text, seconds):
    (slo,) = load(**{"metadata.annotations": {"trimtab/threshold": text}})
    assert slo.exact.threshold_s == seconds


@pytest.mark.parametrize(
    ("changes", "path", "fix"),
    [
        ({"apiVersion": "openslo/v1alpha"}, "apiVersion", "openslo/v1"),
        ({"kind": "slo"}, "kind", "write one of SLO"),
        ({"metadata.name": "Speech Latency"}, "metadata.name", "lower case"),
        ({"metadata.anotations": {"a": "b"}}, "metadata.anotations", "did you mean annotations"),
        ({"metadata.annotations": {}}, "spec.indicator", "trimtab/threshold"),
        ({"metadata.annotations": {"trimtab/threshold": "fast"}}, "metadata.annotations[trimtab/threshold]", "200ms"),
        ({"metadata.annotations": {"trimtab/threshold": "2h"}}, "metadata.annotations[trimtab/threshold]", "seconds"),
        ({"metadata.annotations": {"trimtab/threshold": 2}}, "metadata.annotations[trimtab/threshold]", "quotes"),
        ({"spec.objectives": []}, "spec.objectives", "one objective"),
        ({"spec.objectives.0.target": 95.0}, "spec.objectives[0].target", "ratio"),
        ({"spec.objectives.0.target": "0.95"}, "spec.objectives[0].target", "ratio"),
        ({"spec.objectives.0.targetPercent": 95}, "spec.objectives[0].targetPercent", "keep one"),
        ({"spec.budgetingMethod": "RatioTimeslices"}, "spec.budgetingMethod", "mean of ratios"),
        ({"spec.timeWindow.0.duration": "1M"}, "spec.timeWindow[0].duration", "calendar"),
        ({"spec.timeWindow.0.duration": "1m"}, "spec.timeWindow[0].duration", "seconds"),
        ({"spec.timeWindow.0.isRolling": False}, "spec.timeWindow[0].isRolling", "calendar"),
        ({"spec.timeWindow.0.duration": "1h"}, "metadata.annotations[trimtab/page-within]", "360"),
    ],
)
def test_a_refusal_names_the_place_and_the_fix(changes, path, fix):
    with pytest.raises(SloError) as caught:
        load(**changes)
    assert caught.value.field == f"slos.yaml[0].{path}"
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no document"), ("a: [", "not valid YAML"), ("- 1", "not a mapping")]
)
def test_text_that_is_no_document_is_refused(text, problem):
    with pytest.raises(SloError, match=problem):
        load_documents(text, source="slos.yaml")


def test_all_faults_of_all_files_are_told_at_once(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump(document(**{"spec.objectives.0.target": 95, "metadata.name": "Speech"})))
    second.write_text(yaml.safe_dump(document(**{"spec.timeWindow.0.duration": "1M"})))
    with pytest.raises(SloFaults) as caught:
        load_files([first, second])
    assert [fault.field for fault in caught.value.faults] == [
        "first.yaml[0].metadata.name",
        "second.yaml[0].spec.timeWindow[0].duration",
    ]
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]


def test_files_are_one_set_and_those_with_the_same_name_are_told_apart(tmp_path):
    paths = [tmp_path / folder / "slos.yaml" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(document()))
    with pytest.raises(SloError, match="another SLO of the set is called speech") as caught:
        load_files(paths)
    assert caught.value.field == f"{paths[1]}[0].metadata.name"


def test_a_file_that_cannot_be_read_or_is_too_large_is_refused(tmp_path):
    with pytest.raises(SloError, match="cannot be read"):
        load_files([tmp_path / "missing.yaml"])
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(SloError, match="more than"):
        load_files([large])
