from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.envoy_assignment import digest, render_assignment
from controller.ports import Endpoint, GatewayPlan

EU, US = "eu-west", "us-east"


def endpoint(name: str, region: str, last: int, *, draining: bool = False) -> Endpoint:
    return Endpoint(name, region, f"127.0.1.{last}", 9001, draining)


HOME = GatewayPlan(
    gateway=EU, shares=((EU, 1.0), (US, 0.0)), endpoints=(endpoint("eu-0", EU, 1), endpoint("us-0", US, 2))
)


def localities(plan: GatewayPlan) -> dict[str, dict[str, object]]:
    return {entry["locality"]["region"]: entry for entry in render_assignment(plan)["endpoints"]}


def test_a_standby_is_there_without_a_weight() -> None:
    rendered = localities(HOME)
    assert rendered[EU]["load_balancing_weight"] == 10_000
    assert "load_balancing_weight" not in rendered[US]
    assert rendered[US]["lb_endpoints"]


def test_shares_become_weights_and_none_that_is_wanted_becomes_zero() -> None:
    rendered = localities(replace(HOME, shares=((EU, 0.999999), (US, 0.000001))))
    assert rendered[US]["load_balancing_weight"] == 1


def test_a_draining_endpoint_is_marked_and_stays() -> None:
    plan = replace(HOME, endpoints=(*HOME.endpoints, endpoint("eu-1", EU, 3, draining=True)))
    statuses = [e["health_status"] for e in localities(plan)[EU]["lb_endpoints"]]
    assert statuses == ["UNKNOWN", "DRAINING"]


def test_every_endpoint_carries_its_names() -> None:
    (found,) = localities(HOME)[EU]["lb_endpoints"]
    assert found["endpoint"]["hostname"] == "eu-0"
    assert found["metadata"]["filter_metadata"] == {"trimtab": {"replica": "eu-0", "region": EU}}


def test_the_standby_is_promoted_when_nothing_active_is_routable() -> None:
    plan = replace(HOME, endpoints=(endpoint("eu-0", EU, 1, draining=True), endpoint("us-0", US, 2)))
    assert localities(plan)[US]["load_balancing_weight"] == 10_000


def test_a_changed_shed_ratio_changes_the_weights_too() -> None:
    calm, shedding = render_assignment(HOME), render_assignment(replace(HOME, shed_ratio=0.25))
    assert "drop_overloads" not in calm["policy"]
    assert shedding["policy"]["drop_overloads"][0]["drop_percentage"] == {
        "numerator": 2_500,
        "denominator": "TEN_THOUSAND",
    }
    assert calm["endpoints"][0]["load_balancing_weight"] != shedding["endpoints"][0]["load_balancing_weight"]


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (replace(HOME, endpoints=()), "no endpoint is routable"),
        (replace(HOME, endpoints=(endpoint("eu-0", EU, 1, draining=True),)), "no endpoint is routable"),
        (replace(HOME, endpoints=(replace(HOME.endpoints[0], address="eu-0.example"),)), "not an IP address"),
        (replace(HOME, endpoints=(replace(HOME.endpoints[0], port=0),)), "port 0"),
        (replace(HOME, endpoints=(HOME.endpoints[0], replace(HOME.endpoints[1], replica="eu-0"))), "eu-0 appears"),
        (
            replace(HOME, endpoints=(HOME.endpoints[0], replace(HOME.endpoints[1], address="127.0.1.1"))),
            ":9001 appears",
        ),
        (replace(HOME, shares=((EU, 1.5),)), "share 1.5"),
        (replace(HOME, shed_ratio=1.0), "shed_ratio"),
    ],
)
def test_a_plan_that_would_hurt_is_refused(plan: GatewayPlan, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        render_assignment(plan)


@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=2), shed=st.floats(0, 0.99), drained=st.booleans())
def test_something_always_has_a_weight_and_equal_plans_have_equal_names(
    shares: list[float], shed: float, drained: bool
) -> None:
    endpoints = (endpoint("eu-0", EU, 1, draining=drained), endpoint("us-0", US, 2))
    plan = GatewayPlan(EU, ((EU, shares[0]), (US, shares[1])), endpoints, shed)
    rendered = render_assignment(plan)
    weights = [locality.get("load_balancing_weight") for locality in rendered["endpoints"]]
    assert any(weights)
    assert all(weight is None or weight > 0 for weight in weights)
    assert digest([rendered]) == digest([render_assignment(plan)])
