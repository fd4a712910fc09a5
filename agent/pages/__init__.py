"""The pages that a GPU host serves: /metrics, /livez and /readyz."""
