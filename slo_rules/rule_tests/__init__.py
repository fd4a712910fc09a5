"""Tests that ship with every compiled SLO: `promtool test rules` files that hold its rules to their promises."""
