"""Shares are arithmetic that always sums to one; plans always leave a gateway something to route to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import ReplicaState
from controller.core.fleet import Fleet, TrafficIntent, home_traffic
from controller.core.plans import shift_away, toward_home
from controller.core.traffic import (
    CRASHED_KEPT_S,
    clashing,
    complete,
    keep_former,
    merged,
    regions_changed,
    regions_raised,
    render_gateway_plans,
    row_of,
    with_row,
)


@pytest.fixture
def fleet(make):
    return make.grid()


def plan_of(fleet, gateway="eu-west", intent=None):
    plans = render_gateway_plans(fleet, intent or home_traffic(fleet.regions), {})
    return next(plan for plan in plans if plan.gateway == gateway)


def listed(fleet):
    return {endpoint.replica for endpoint in plan_of(fleet).endpoints}


def test_every_gateway_gets_every_endpoint_and_its_own_shares(fleet):
    plan = plan_of(fleet)
    assert len(plan.endpoints) == 8
    assert plan.shares == (("eu-west", 1.0), ("us-east", 0.0))


@pytest.mark.parametrize(
    ("fields", "is_listed"),
    [
        ({"state": ReplicaState.READY}, True),
        ({"state": ReplicaState.HUNG}, True),
        ({"state": ReplicaState.UNREADY}, True),
        ({"state": ReplicaState.CRASHED, "state_age_s": CRASHED_KEPT_S - 1}, True),
        ({"state": ReplicaState.CRASHED, "state_age_s": CRASHED_KEPT_S + 1}, False),
        ({"state": ReplicaState.STARTING, "generation": 1}, False),
        ({"state": ReplicaState.STARTING, "generation": 2}, True),
        ({"state": ReplicaState.QUARANTINED}, False),
        ({"state": ReplicaState.STOPPED}, False),
    ],
)
def test_the_gateways_own_health_checks_react_first(make, fleet, fields, is_listed):
    assert ("eu-west-a-0" in listed(make.changed(fleet, "eu-west-a-0", **fields))) is is_listed


@pytest.mark.parametrize("fields", [{"address": "replica.example"}, {"address": ""}, {"port": 0}, {"port": 70_000}])
def test_an_address_that_no_gateway_can_use_costs_only_its_own_replica(make, fleet, fields):
    mistaken = make.changed(fleet, "eu-west-a-0", **fields)
    assert listed(mistaken) == {replica.id for replica in fleet.replicas()} - {"eu-west-a-0"}
    (line,) = clashing(mistaken)
    assert line.startswith("eu-west-a-0 of eu-west-a at")
    assert clashing(fleet) == ()


def test_of_two_replicas_at_one_address_the_freshest_report_counts(make, fleet):
    renamed = make.replica("eu-west-z-0", port=fleet.replica("eu-west-a-0").port)
    former = Fleet(hosts=tuple(replace(host, report_age_s=60.0) for host in fleet.hosts if host.id == "eu-west-a"))
    others = tuple(host for host in fleet.hosts if host.id != "eu-west-a")
    both = Fleet(hosts=(*former.hosts, *others, *make.fleet(renamed).hosts))
    assert "eu-west-z-0" in listed(both)
    assert "eu-west-a-0" not in listed(both)
    assert "eu-west-a-1" in listed(both)


def test_two_living_hosts_that_clash_do_not_take_turns(make):
    def seen(age_of_a_s, age_of_b_s):
        hosts = make.fleet(make.replica("eu-west-a-0", port=9000), make.replica("eu-west-b-0", port=9000)).hosts
        ages = (age_of_a_s, age_of_b_s)
        return listed(Fleet(hosts=tuple(replace(h, report_age_s=age) for h, age in zip(hosts, ages, strict=True))))

    assert seen(0.2, 4.0) == seen(4.0, 0.2) == {"eu-west-a-0"}


def test_one_id_on_two_hosts_is_listed_once(make):
    twice = make.fleet(make.replica("eu-west-a-0"), make.replica("us-east-a-0", id="eu-west-a-0"))
    assert [endpoint.replica for endpoint in plan_of(twice).endpoints] == ["eu-west-a-0"]


def test_a_cordoned_replica_drains(fleet):
    intent = TrafficIntent(home_traffic(fleet.regions).shares, frozenset({"eu-west-a-0"}))
    draining = [endpoint.replica for endpoint in plan_of(fleet, intent=intent).endpoints if endpoint.draining]
    assert draining == ["eu-west-a-0"]


def test_a_region_that_only_drains_gets_no_share(make):
    fleet = make.fleet(make.replica("eu-west-a-0"), make.replica("us-east-a-0"))
    intent = TrafficIntent(home_traffic(fleet.regions).shares, frozenset({"eu-west-a-0"}))
    assert plan_of(fleet, intent=intent).shares == (("us-east", 1.0),)


def test_shares_are_spread_over_what_is_left(make):
    fleet = make.fleet(make.replica("eu-west-a-0"), make.replica("us-east-a-0"), make.replica("ap-south-a-0"))
    intent = with_row(home_traffic(fleet.regions), "eu-west", {"eu-west": 0.5, "us-east": 0.3, "ap-south": 0.2})
    gone = make.changed(fleet, "eu-west-a-0", state=ReplicaState.STOPPED)
    assert dict(plan_of(gone, intent=intent).shares) == pytest.approx({"us-east": 0.6, "ap-south": 0.4})


def test_a_gateway_without_replicas_of_its_own_is_served_by_others(fleet):
    (plan,) = render_gateway_plans(fleet, home_traffic(fleet.regions), {}, ("ap-south",))
    assert dict(plan.shares) == {"eu-west": 0.5, "us-east": 0.5}


def test_without_any_endpoint_the_former_plans_stay(make, fleet):
    former = render_gateway_plans(fleet, home_traffic(fleet.regions), {})
    stopped = make.fleet(*(make.replica(r.id, ReplicaState.STOPPED) for r in fleet.replicas()))
    rendered = render_gateway_plans(stopped, home_traffic(fleet.regions), {})
    assert rendered == ()
    assert keep_former(former, rendered) == former


def test_what_was_never_mentioned_is_at_home():
    old = with_row(home_traffic(("eu-west", "us-east")), "eu-west", {"us-east": 1.0})
    grown = complete(old, ("ap-south", "eu-west", "us-east"))
    assert row_of(grown, "eu-west") == {"ap-south": 0.0, "eu-west": 0.0, "us-east": 1.0}
    assert row_of(grown, "ap-south") == {"ap-south": 1.0, "eu-west": 0.0, "us-east": 0.0}
    assert complete(grown, ("eu-west", "us-east")) == grown


def test_merging_moves_only_the_rows_that_were_meant():
    home = home_traffic(("eu-west", "us-east"))
    away = with_row(home, "eu-west", {"us-east": 1.0})
    other = with_row(home, "us-east", {"us-east": 0.5, "eu-west": 0.5})
    both = merged(other, home, away)
    assert row_of(both, "eu-west") == {"eu-west": 0.0, "us-east": 1.0}
    assert row_of(both, "us-east") == row_of(other, "us-east")
    assert merged(both, away, home) == other


def test_who_gets_more_and_whose_load_changes():
    home = home_traffic(("ap-south", "eu-west", "us-east"))
    away = with_row(home, "eu-west", {"us-east": 1.0})
    assert regions_raised(home, away) == {"us-east"}
    assert regions_changed(home, away) == {"us-east", "eu-west"}


def test_a_shift_takes_what_fits_and_no_more(make, fleet):
    """us-east: 4 workers × 0.7 − 20 × 0.1 = 0.8 workers = 8 requests per second of the 20 of eu-west."""
    ledger = make.ledger(fleet, rps=20.0)
    action = shift_away("eu-west", ("us-east",), ledger, make.policy)
    assert row_of(action.after, "eu-west") == pytest.approx({"eu-west": 0.6, "us-east": 0.4})


def test_a_shift_takes_all_when_there_is_room(make, fleet):
    action = shift_away("eu-west", ("us-east",), make.ledger(fleet, rps=8.0), make.policy)
    assert row_of(action.after, "eu-west") == {"eu-west": 0.0, "us-east": 1.0}


def test_without_room_there_is_no_shift(make, fleet):
    assert shift_away("eu-west", ("us-east",), make.ledger(fleet, rps=27.9), make.policy) is None


@given(
    rps=st.floats(0.5, 27),
    others=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    step=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_every_row_always_sums_to_one(make, rps, others, step):
    fleet = make.grid(regions=("ap-south", "eu-west", "us-east"))
    whole = sum(others) or 1.0
    row = (
        dict(zip(fleet.regions, (share / whole for share in others), strict=True)) if sum(others) else {"eu-west": 1.0}
    )
    ledger = make.ledger(fleet, rps=rps, traffic=with_row(home_traffic(fleet.regions), "eu-west", row))
    actions = [shift_away("eu-west", fleet.regions, ledger, make.policy), toward_home("eu-west", step, ledger)]
    for action in actions:
        if action is not None and sum(v for k, v in row.items() if k != "eu-west") > 0:
            shares = row_of(action.after, "eu-west").values()
            assert sum(shares) == pytest.approx(1.0, abs=2e-4)
            assert min(shares) >= 0
