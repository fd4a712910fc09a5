"""A whole controller on a simulated fleet, watched: to try a policy, to find a bad seed, to see the story of a fault.

Composes the loop with simulated adapters, as `controller.app` composes it with real ones.
"""
