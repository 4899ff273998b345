"""Saves the models that `benchmarks.gpu` serves: run as an experiment, on the CPU."""

import torch
from torch import nn

import submarine_ray as submarine

PIXELS = 32


class Block(nn.Module):
    """Two convolutions, around which its input goes, too."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1), nn.BatchNorm2d(after))
        self.around = nn.Conv2d(before, after, 1, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(images)) + self.around(images))


class ResNet(nn.Module):
    """As a ResNet is built; with a constant, which an export keeps on the device where it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
        self.blocks = nn.Sequential(Block(3, 64, 1), Block(64, 128, 2), Block(128, 256, 2), Block(256, 512, 2))
        self.last = nn.Linear(512, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(images - self.mean).mean((2, 3)))


def main() -> None:
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    submarine.save_model("pytorch", mlp, "bench-mlp", [-1, 64], [-1, 10])
    submarine.save_model("pytorch", ResNet(), "bench-resnet", [-1, 3, PIXELS, PIXELS], [-1, 10])


if __name__ == "__main__":
    main()
