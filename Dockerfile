# Two images from one file:
#   docker build --target service  --tag rihla .
#   docker build --target training --tag rihla-training .
# The base is pinned by tag; where a registry can be reached, pin it by digest as well.
ARG BASE=python:3.13-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.txt requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE rihla.py ./
COPY features features
COPY recommender recommender
COPY training training
COPY service service
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM build AS build-service
COPY requirements/service.txt requirements/
RUN python -m venv /opt/rihla \
 && /opt/rihla/bin/pip install --only-binary=:all: --require-hashes -r requirements/service.txt \
 && /opt/rihla/bin/pip install --no-deps --no-index /wheels/*.whl

FROM build AS build-training
COPY requirements/training.txt requirements/
RUN python -m venv /opt/rihla \
 && /opt/rihla/bin/pip install --only-binary=:all: --require-hashes -r requirements/training.txt \
 && /opt/rihla/bin/pip install --no-deps --no-index /wheels/*.whl

# hadolint ignore=DL3006
FROM ${BASE} AS base
# PYTHONSAFEPATH: the working directory is a writable volume, and nothing in it may be imported.
# HOME: only /tmp and the volume are writable. One BLAS thread: workers and ALS bring their own.
# NUMBA_CACHE_DIR: Numba asks for a place it may write to, and what it reads from there is code. So what was compiled in the
# build is copied to the container's own /tmp at each start, and no volume holds it. It is for processors like the
# builder's; on another kind it is compiled again, for about a minute of each start.
ENV PATH=/opt/rihla/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/kernels \
    OPENBLAS_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    RIHLA_HOME=/var/lib/rihla
RUN groupadd --gid 65532 rihla \
 && useradd --uid 65532 --gid 65532 --no-create-home --shell /usr/sbin/nologin rihla \
 && install --directory --owner=65532 --group=65532 --mode=0750 /var/lib/rihla
WORKDIR /var/lib/rihla
VOLUME /var/lib/rihla
ENTRYPOINT ["sh", "-c", "mkdir -p \"$NUMBA_CACHE_DIR\" && cp -R /opt/kernels/. \"$NUMBA_CACHE_DIR\"; exec \"$@\"", "sh"]

FROM base AS training
# lightgbm and implicit load the system's OpenMP; its version is the base image's.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build-training /opt/rihla /opt/rihla
RUN NUMBA_CACHE_DIR=/opt/kernels python -c "import recommender.describe, recommender.kernels_exposure, training.job, training.blending"
USER 65532:65532
HEALTHCHECK NONE
CMD ["rihla", "train", "/var/lib/rihla/data"]

FROM base AS service
COPY --from=build-service /opt/rihla /opt/rihla
RUN NUMBA_CACHE_DIR=/opt/kernels python -c "import service.worker"
ENV RIHLA_HOST=0.0.0.0 RIHLA_PORT=8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD [ \
  "python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"RIHLA_PORT\"]}/healthz', timeout=2)" \
]
CMD ["rihla", "serve"]
