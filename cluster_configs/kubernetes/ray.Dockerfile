# The pods of experiments and endpoints: Ray's own image with what training and serving need.
# Build: docker build -t submarine-ray-pods:0.1.0 -f cluster_configs/kubernetes/ray.Dockerfile .
FROM rayproject/ray:2.60.0-py311
COPY --chown=ray:users constraints.txt pyproject.toml README.md /src/
COPY --chown=ray:users submarine_ray /src/submarine_ray
COPY --chown=ray:users serve_apps /src/serve_apps
COPY --chown=ray:users templates /src/templates
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[torch,tabular]" && rm -rf /src
