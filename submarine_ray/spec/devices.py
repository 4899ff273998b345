"""Which GPUs a process sees."""

from __future__ import annotations

# By default Ray leaves every GPU visible to a process that asked for none. CUDA reads an empty list as no GPU, and Ray
# writes it so; HIP reads an empty one as all, and -1 as none.
NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "-1"}

# For processes that share a GPU: these libraries would otherwise take nearly all of its memory at the start.
SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
