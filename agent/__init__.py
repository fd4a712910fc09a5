"""Eyes and hands of one GPU host: probes its replicas, heals them at once, and carries out the controller's orders."""
