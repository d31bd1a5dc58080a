# One image for everything but the database: the MLflow server, the service, training, backups.

FROM python:3.11.13-slim-trixie AS build
# torch without CUDA, a tenth of the size; empty for the usual build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/forecast
ENV PATH=/opt/forecast/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY forecast forecast
COPY pipelines pipelines
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c constraints.txt '.[server]'

FROM python:3.11.13-slim-trixie
# pg_dump, pg_restore and psql of the database's own major version.
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/forecast /opt/forecast
COPY deploy /opt/deploy
# Volumes that are new take over the owner of these folders.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp forecast \
    && mkdir /artifacts /models /work \
    && chown forecast:forecast /artifacts /models /work
ENV PATH=/opt/forecast/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
WORKDIR /work
CMD ["forecast", "--help"]
