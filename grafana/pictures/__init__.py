"""Dashboards drawn by ourselves, from live data: what a person would see, where no Grafana is at hand."""
