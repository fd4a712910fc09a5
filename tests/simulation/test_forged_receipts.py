"""A host with a credential of its own answers for its own orders, also when it knows the keys of others."""

import asyncio

from contracts.agent_api import Receipt
from contracts.vocabulary import HostId, ReceiptStatus
from controller.core.actions import Verdict
from controller.drivers.simulated import SimulatedReplicas
from controller.ports import OperatorIntent
from controller.rehearsal.run import Rehearsal, Script
from controller.simulation.faults import Fault, FaultKind

LIAR = HostId("us-east-a")
"""Its agent says of every order in the fleet that it failed."""


class Liar(SimulatedReplicas):
    """Brings its receipts beside, and after, those of honest hosts."""

    def receipts(self):
        lies = (
            (LIAR, Receipt(key=order.key, epoch=order.epoch, status=ReceiptStatus.FAILED, executions=1))
            for _host, order in self._world.offers.get(self._controller, ())
        )
        return (*super().receipts(), *lies)


def test_an_order_did_not_fail_because_another_host_says_so():
    late = Fault(FaultKind.ORDERS_LOST, "eu-west-a", from_s=30, until_s=41)
    rehearsal = Rehearsal(Script(seed=1, faults=(late,)))
    rehearsal.controllers[0]._replicas = Liar(rehearsal.world, "controller-1")
    asyncio.run(rehearsal.play(30))
    now_unix_s = rehearsal.world.clock.now_unix_s()
    rehearsal.journal.submit(OperatorIntent("i", now_unix_s, "anna", "restart", (("replica", "eu-west-a-0"),)))
    asyncio.run(rehearsal.play(150))
    (restart,) = rehearsal.journal.load(rehearsal.world.clock.now_unix_s(), 86_400.0).actions
    assert restart.verdict not in {None, Verdict.FAILED}
