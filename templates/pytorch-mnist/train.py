"""A distributed image classifier in PyTorch: an ordinary DDP script, as torchrun would start it."""

from __future__ import annotations

import argparse
import os

import data
import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import submarine_ray as submarine


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="directory with MNIST's IDX files; empty: scikit-learn's digits")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--model-name")
    options = parser.parse_args()

    cuda = torch.cuda.is_available()
    # NCCL refuses ranks that share a GPU; the platform knows whether these do.
    dist.init_process_group(os.environ.get("SUBMARINE_TORCH_BACKEND", "nccl") if cuda else "gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    # Ray shows each replica its own devices only, so the first one visible is the one to use.
    device = torch.device("cuda", 0) if cuda else torch.device("cpu")
    torch.manual_seed(7)

    train_x, train_y, test_x, test_y = data.split(*data.load(options.data))
    features = train_x.shape[1]
    net = nn.Sequential(nn.Linear(features, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10)).to(device)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.Adam(model.parameters(), options.learning_rate)
    if rank == 0:
        for name, value in vars(options).items():
            submarine.log_param(name, str(value))

    test = torch.from_numpy(test_x).to(device), torch.from_numpy(test_y).to(device)
    for epoch in range(1, options.epochs + 1):
        order = np.random.default_rng(epoch).permutation(len(train_x))
        # The same number of batches on every rank, or the last all-reduce would wait for ever.
        mine = order[: len(order) // world_size * world_size][rank::world_size]
        model.train()
        total, batches = 0.0, 0
        for begin in range(0, len(mine), options.batch_size):
            rows = mine[begin : begin + options.batch_size]
            inputs, labels = torch.from_numpy(train_x[rows]).to(device), torch.from_numpy(train_y[rows]).to(device)
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, batches = total + loss.item(), batches + 1
        model.eval()
        with torch.inference_mode():
            accuracy = (net(test[0]).argmax(1) == test[1]).float().mean().item()
        submarine.log_metric("loss", total / batches, epoch)
        submarine.log_metric("accuracy", accuracy, epoch)
        print(f"epoch {epoch} loss {total / batches:.4f} accuracy {accuracy:.4f}", flush=True)

    if rank == 0:
        data.keep_holdout(test_x, test_y)
        submarine.save_model("pytorch", model, options.model_name or None, [-1, features], [-1, 10])
    dist.barrier()
    # DDP before its process group: else torch 2.13 aborts at exit one time in ten ("terminate called without ...").
    del model, net, optimizer, loss
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
