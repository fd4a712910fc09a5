"""The controller's orders: judged once, written down, carried out at most once."""
