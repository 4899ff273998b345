# The control service. Build: docker build -t submarine-ray:0.1.0 .
# The pods that run experiments need another image: see cluster_configs/kubernetes/ray.Dockerfile.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /venv
COPY constraints.txt pyproject.toml README.md mkdocs.yml ./
COPY submarine_ray submarine_ray
COPY serve_apps serve_apps
COPY templates templates
COPY docs docs
# boto3: artifacts in S3.
RUN /venv/bin/pip install -c constraints.txt . boto3
# The documentation is built with tools that the image does not keep, and is part of the package that is installed.
RUN /venv/bin/pip install -c constraints.txt --target /docs-tools mkdocs-material 'mkdocstrings[python]' \
    && PYTHONPATH=/docs-tools NO_MKDOCS_2_WARNING=1 /venv/bin/python -m mkdocs build --strict --quiet \
    && /venv/bin/pip install --no-deps --force-reinstall .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin submarine
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SUBMARINE_HOME=/home/submarine/data SUBMARINE_HOST=0.0.0.0 SUBMARINE_LOG_JSON=true
USER 10001
WORKDIR /home/submarine
# The service; and the pages of notebooks, dashboards and artifacts (SUBMARINE_CONTENT_URL).
EXPOSE 32080 32081
# As PID 1 it gets SIGTERM itself, and ends after the requests under way.
ENTRYPOINT ["python", "-m", "submarine_ray.app"]
