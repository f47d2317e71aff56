# The web service on a CPU. It needs no network, no root and no writable root:
#   docker build -t emoembed .
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp --cap-drop ALL emoembed
FROM python:3.11-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/emoembed && \
    /opt/emoembed/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.13.0
COPY constraints.txt setup.cfg pyproject.toml README.md LICENSE /source/
COPY emoembed /source/emoembed
COPY features /source/features
COPY checkpoints /source/checkpoints
RUN /opt/emoembed/bin/pip install --no-cache-dir -c /source/constraints.txt "/source[serve]"

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin emoembed
COPY --from=build /opt/emoembed /opt/emoembed
# the cache of the package and of its libraries lies in /tmp, the only folder it writes to
ENV PATH=/opt/emoembed/bin:$PATH HOME=/tmp EMOEMBED_CACHE=/tmp/emoembed EMOEMBED_OFFLINE=1 HF_HUB_OFFLINE=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["emoembed", "serve", "--host", "0.0.0.0"]
