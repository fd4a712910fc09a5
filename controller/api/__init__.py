"""The controller's HTTP surface: agents sync here, operators ask here, Prometheus finds its targets here.

Handlers never touch the fleet. They read, or they record an intent or a signal; the loop acts at its own pace.
"""
