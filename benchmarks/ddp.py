"""200 steps of DDP on two workers; nothing in it knows the platform."""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = DistributedDataParallel(
    torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for _ in range(200):
    loss = torch.nn.functional.cross_entropy(model(torch.randn(32, 64)), torch.randint(0, 10, (32,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("loss", loss.item())
# DDP before its process group: else torch 2.13 aborts at exit one time in ten ("terminate called without ...").
del model, optimizer, loss
dist.destroy_process_group()
