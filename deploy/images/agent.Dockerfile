# The Trimtab agent as a container: `make image-agent`. Read "Containers" in deploy/README.md before using it on a GPU host: the
# systemd unit is the better home, because a call that hangs in the GPU driver makes `docker stop` hang as well.
#
# The build needs no network for Python: everything comes from dist/wheels/agent, which `make wheels-agent` fills from
# deploy/locks/agent.txt, hashes checked. Only Debian's own packages are fetched.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY dist/wheels/agent /wheels
RUN python3 -m venv /opt/trimtab \
 && /opt/trimtab/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
 && /opt/trimtab/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/*
# A number that a host can grant its socket and devices to (`group_add`), and that owns the journal's volume.
RUN groupadd --gid 9300 trimtab \
 && useradd --uid 9300 --gid 9300 --no-create-home --home-dir /var/lib/trimtab --shell /usr/sbin/nologin trimtab \
 && install -d -o 9300 -g 9300 -m 0750 /var/lib/trimtab
COPY --from=build /opt/trimtab /opt/trimtab
ARG VERSION=0
LABEL org.opencontainers.image.title="trimtab-agent" \
      org.opencontainers.image.description="Watches, heals and reports the TTS replicas of one host" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
ENV PATH=/opt/trimtab/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIMTAB_AGENT_STATE_DIR=/var/lib/trimtab \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=utility
VOLUME /var/lib/trimtab
USER 9300:9300
STOPSIGNAL SIGTERM
# No HEALTHCHECK: the engine starts a process in the container for each, 65–140 ms of CPU a second at one check a second. The
# controller sees the agent's silence within seconds, and Prometheus scrapes /metrics and may ask /livez for nothing.
# tini takes in what killed children leave behind; -s, because with the host's PID namespace it is not process 1.
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["python", "-m", "agent"]
