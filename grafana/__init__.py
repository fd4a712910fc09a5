"""Dashboards as code: what to show is plain data in `panels`, how Grafana wants it is in `dashboard`."""
