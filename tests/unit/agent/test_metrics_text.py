"""The text of the page is what Prometheus' own parser reads back."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.core.histogram import Histogram
from agent.exporter.help import help_of
from agent.exporter.page import Page, joined, label_text
from contracts import metric_names as names


def read(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.text())
        for sample in family.samples
    }


@pytest.mark.parametrize("value", ["plain", "", 'with "quotes"', "back\\slash", "two\nlines", "\\n", "é ≤ θ", "{},="])
def test_any_label_value_is_read_back_as_it_was(value):
    page = Page()
    page.family("x", "gauge", [({"a": value, "b": "2"}, 1.0)])
    assert read(page) == {("x", (("a", value), ("b", "2"))): 1.0}


@pytest.mark.parametrize(
    "number", [0, 1, True, -1.5, 61, 1.755e9, 1e22, 123456789012345678, 1e-9, 0.1 + 0.2, float("inf")]
)
def test_any_number_is_read_back_as_it_was(number):
    page = Page()
    page.gauge("x", number)
    assert read(page) == {("x", ()): float(number)}


def test_whole_numbers_have_no_point():
    page = Page()
    page.counter("x_total", 61.0)
    assert page.text() == "# HELP x_total x total\n# TYPE x_total counter\nx_total 61\n"


def test_help_is_the_sentence_that_documents_the_name():
    assert help_of(names.GPU_ENERGY_JOULES_TOTAL) == "since the driver was loaded."
    assert help_of(names.GPU_POWER_WATTS) == "gpu power watts"
    everything = "".join(
        help_of(name) for name in vars(names).values() if isinstance(name, str) and name.isidentifier()
    )
    assert "\n" not in everything
    assert everything.isascii(), "one wider character doubles the page's memory"


def test_a_family_without_samples_is_left_out():
    page = Page()
    page.family("x", "gauge", [])
    page.histograms("y", [])
    assert "x" not in page.text()
    assert "y" not in page.text()


def test_a_histogram_is_cumulative_and_ends_with_everything():
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.5, 5.0):
        histogram.observe(seconds)
    page = Page()
    page.histograms("x_seconds", [({"a": "1"}, histogram), ({}, histogram)])
    samples = read(page)
    a = ("a", "1")
    assert [samples["x_seconds_bucket", (a, ("le", bound))] for bound in ("0.1", "1", "+Inf")] == [1, 2, 3]
    assert samples["x_seconds_count", (a,)] == samples["x_seconds_count", ()] == 3
    assert samples["x_seconds_sum", (a,)] == pytest.approx(5.55)


@pytest.mark.parametrize(
    ("text", "labels", "both"),
    [("", {}, ""), ("", {"a": "1"}, 'a="1"'), ('a="1"', {}, 'a="1"'), ('a="1"', {"b": "2"}, 'a="1",b="2"')],
)
def test_rendered_labels_are_extended(text, labels, both):
    assert joined(text, labels) == both


def test_labels_rendered_beforehand_give_the_same_page():
    labels = {"gpu": "0", "uuid": "GPU-1"}
    as_mapping, as_text = Page(), Page()
    as_mapping.family("x", "gauge", [(labels, 1)])
    as_text.family("x", "gauge", [(label_text(labels), 1)])
    assert as_mapping.text() == as_text.text()
