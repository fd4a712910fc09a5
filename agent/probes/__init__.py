"""How the agent looks at things: replicas over HTTP, GPUs through a worker child, the host through the kernel."""
