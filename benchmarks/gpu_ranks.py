"""All-reduces of 64 MB, with what the platform says that these ranks can use, or torchrun's users would."""

import os
import time

import torch
import torch.distributed as dist

has_gpu = torch.cuda.is_available()
backend = os.environ.get("SUBMARINE_TORCH_BACKEND", "nccl") if has_gpu else "gloo"
dist.init_process_group(backend)
values = torch.ones(16_000_000, device="cuda" if has_gpu else "cpu")
dist.all_reduce(values)
begun = time.perf_counter()
for _ in range(10):
    dist.all_reduce(values)
    values.div_(dist.get_world_size())
if has_gpu:
    torch.cuda.synchronize()
if dist.get_rank() == 0:
    print(f"reduced {backend} {10 / (time.perf_counter() - begun):.3f}", flush=True)
dist.destroy_process_group()
