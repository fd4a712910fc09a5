"""A policy is valid from birth."""

import pytest

from agent.orders.machine import MachinePace
from agent.orders.switches import RESET_S_MAX
from agent.probes.gpu_worker import RELEASE_S_MAX
from controller.core.policy import Policy, PolicyError


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"tick_s": 0.0}, "tick_s"),
        ({"cooldown_s": -1.0}, "cooldown_s"),
        ({"utilisation_target": 0.9}, "utilisation_target"),
        ({"utilisation_home": 0.8}, "utilisation_target"),
        ({"utilisation_max": 1.2}, "utilisation_target"),
        ({"late_s": 60.0, "dead_s": 30.0}, "late_s"),
        ({"order_ttl_s": 61.0}, "order_ttl_s"),
    ],
)
def test_a_limit_that_cannot_be_names_its_field(fields, culprit):
    with pytest.raises(PolicyError) as caught:
        Policy(**fields)
    assert caught.value.field == culprit


def test_exceptions_per_region():
    policy = Policy(replicas_min=2, replicas_min_by_region=(("eu-west", 5),))
    assert (policy.replicas_min_of("eu-west"), policy.replicas_min_of("us-east")) == (5, 2)


def test_the_alarm_level_is_a_month_of_blocks():
    assert Policy().alarm_level == 259_200


def test_a_machine_order_is_waited_for_as_long_as_its_agent_tries():
    pace, limits = MachinePace(), Policy()
    assert limits.gpu_reset_within_s > RELEASE_S_MAX + RESET_S_MAX + pace.fit_within_s
    assert limits.host_reboot_within_s > pace.down_within_s
