"""A simulated fleet with seeded faults: replicas that queue, agents that heal and obey, gateways that route.

It ships with the product, because a control loop that cannot be tried without GPUs is not tried. The adapters that connect
it to the loop are `controller.sources.simulated` and `controller.drivers.simulated`.
"""
