# One TTS replica on the CPU as a container: `make image-serving`. The voice is prepared at build time, so that a replica starts
# without a network and every replica of an image speaks with the same artefacts.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY dist/wheels/serving /wheels
RUN python3 -m venv /opt/trimtab \
 && /opt/trimtab/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
 && /opt/trimtab/bin/python -m serving prepare --voice-dir /opt/trimtab/voice \
 && /opt/trimtab/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 8100 trimtab \
 && useradd --uid 8100 --gid 8100 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin trimtab
COPY --from=build /opt/trimtab /opt/trimtab
ARG VERSION=0
LABEL org.opencontainers.image.title="trimtab-serving" \
      org.opencontainers.image.description="One text-to-speech replica" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
ENV PATH=/opt/trimtab/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIMTAB_SERVING_VOICE_DIR=/opt/trimtab/voice
USER 8100:8100
STOPSIGNAL SIGTERM
# No HEALTHCHECK: the agent probes each replica four times a second at 0.3 ms, and tells a hung one from a busy one, which a
# health check cannot.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["python", "-m", "serving"]
