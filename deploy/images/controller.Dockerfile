# The Trimtab controller as a container: `make image-controller`. Built like the agent's: from wheels, without a network for Python.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY dist/wheels/controller /wheels
RUN python3 -m venv /opt/trimtab \
 && /opt/trimtab/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
 && /opt/trimtab/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 8700 trimtab \
 && useradd --uid 8700 --gid 8700 --no-create-home --home-dir /var/lib/trimtab-controller --shell /usr/sbin/nologin trimtab \
 && install -d -o 8700 -g 8700 -m 0750 /var/lib/trimtab-controller
COPY --from=build /opt/trimtab /opt/trimtab
ARG VERSION=0
LABEL org.opencontainers.image.title="trimtab-controller" \
      org.opencontainers.image.description="Keeps a fleet of TTS servers inside its SLOs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
ENV PATH=/opt/trimtab/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIMTAB_CONTROLLER_DATABASE_URL=sqlite:////var/lib/trimtab-controller/journal.db
VOLUME /var/lib/trimtab-controller
WORKDIR /var/lib/trimtab-controller
USER 8700:8700
STOPSIGNAL SIGTERM
# No HEALTHCHECK, for the reason that agent.Dockerfile gives; load balancers ask /readyz, which only the leader answers with 200.
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["python", "-m", "controller"]
