"""The GPUs of a replica: those that Ray gave it, and no others."""

from __future__ import annotations

import os

import ray

from submarine_ray.spec.devices import NO_GPU, SHARED_GPU


def see_own_gpus() -> None:
    """Hide the GPUs that Ray gave to others; call it before a framework looks for them.

    By default Ray leaves all GPUs visible to a process that it gave none.
    """
    context = ray.get_runtime_context()
    if not context.get_accelerator_ids().get("GPU"):
        os.environ.update(NO_GPU)
    elif context.get_assigned_resources().get("GPU", 1) < 1:
        os.environ.update(SHARED_GPU)
