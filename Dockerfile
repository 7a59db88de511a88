# AfterRun exporter. An empty configuration inside: every job that pings is known
# from then on. Mount your own over /etc/afterrun/afterrun.yml.
#
#   docker build -t afterrun-exporter .
#   docker run -p 10707:10707 -v afterrun:/data afterrun-exporter

# The official image of Python 3.12.14 on Debian 13, an index of all architectures. Without
# security updates of a later one: `docker buildx imagetools inspect python:3.12-slim`
# prints the digest of the current image. To try it: --build-arg PYTHON=python:3.12-slim
ARG PYTHON=python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea

FROM ${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt CHANGELOG.md README.md LICENSE ./
COPY scripts/sbom.sh scripts/sbom.sh
COPY docs/runbook.md docs/runbook.md
COPY afterrun_exporter afterrun_exporter
# For `afterrun --version`: --build-arg REVISION=$(git rev-parse HEAD) --build-arg VERSION=0.2.0
ARG REVISION=
ARG VERSION=
RUN export AFTERRUN_REVISION="$REVISION" AFTERRUN_VERSION="$VERSION" \
    && python -m venv /opt/afterrun \
    && /opt/afterrun/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt '.[holidays,postgres]'
# What is in the image: /opt/afterrun/sbom.cdx.json
RUN python -m venv /tmp/sbom \
    && /tmp/sbom/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt cyclonedx-bom \
    && CYCLONEDX=/tmp/sbom/bin/cyclonedx-py sh scripts/sbom.sh /opt/afterrun /opt/afterrun/sbom.cdx.json

FROM ${PYTHON}
COPY --from=build /opt/afterrun /opt/afterrun
ENV PATH=/opt/afterrun/bin:$PATH
# For --config.git-url.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/*
# /data belongs to the user before it becomes a volume: a new volume takes that over.
RUN groupadd --gid 10707 afterrun \
    && useradd --uid 10707 --gid afterrun --home-dir /data --no-create-home --shell /usr/sbin/nologin afterrun \
    && install -d -o afterrun -g afterrun /data \
    && install -d /etc/afterrun \
    && echo 'jobs: {}' >/etc/afterrun/afterrun.yml
# By number, so that Kubernetes' runAsNonRoot can tell.
USER 10707:10707
WORKDIR /data
VOLUME /data
EXPOSE 10707
# It follows --web.listen-address and TLS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "afterrun_exporter.client.healthcheck"]
ENTRYPOINT ["afterrun"]
CMD ["serve", "--config.file=/etc/afterrun/afterrun.yml", "--storage.path=/data/afterrun.db"]
