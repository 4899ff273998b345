"""The networks: factorization machines, alone, beside a deep part, or with attention. All answer with logits.

Sources: Rendle, "Factorization Machines" (2010); Guo et al., "DeepFM" (2017); Xiao et al., "Attentional Factorization
Machines" (2017).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from submarine_ray.ml.config import Training

INIT_SCALE = 0.01


class Factorization(nn.Module):  # type: ignore[misc]
    """What all share: a weight and a vector for each feature. Rows are `ids` and `values`, (batch, fields) each."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        # One more than features: ids may begin at 0 or at 1.
        self.weight = nn.Embedding(training.feature_size + 1, 1)
        self.vector = nn.Embedding(training.feature_size + 1, training.embedding_size)
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.weight.weight, std=INIT_SCALE)
        nn.init.normal_(self.vector.weight, std=INIT_SCALE)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Logits, (batch,)."""
        first_order = (self.weight(ids).squeeze(-1) * values).sum(dim=1)
        vectors = self.vector(ids) * values.unsqueeze(-1)
        return self.bias + first_order + self.interactions(vectors)

    def interactions(self, vectors: Tensor) -> Tensor:
        """From (batch, fields, embedding) to (batch,)."""
        raise NotImplementedError

    def penalty(self, ids: Tensor) -> Tensor:
        """The squares of the weights and vectors that these rows use, a row."""
        return (self.weight(ids).square().sum() + self.vector(ids).square().sum()) / len(ids)


class FMNetwork(Factorization):
    """All products of two features, in linear time."""

    def interactions(self, vectors: Tensor) -> Tensor:
        return 0.5 * (vectors.sum(dim=1).square() - vectors.square().sum(dim=1)).sum(dim=1)


class DeepFMNetwork(FMNetwork):
    """A factorization machine and a deep network over the same vectors."""

    def __init__(self, training: Training) -> None:
        super().__init__(training)
        widths = [training.field_size * training.embedding_size, *training.deep_layers]
        layers: list[nn.Module] = []
        for (inputs, outputs), dropout in zip(pairwise(widths), training.dropout, strict=False):
            layers.append(nn.Linear(inputs, outputs))
            if training.batch_norm:
                layers.append(nn.BatchNorm1d(outputs, momentum=1 - training.batch_norm_decay))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.deep = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def interactions(self, vectors: Tensor) -> Tensor:
        return super().interactions(vectors) + self.deep(vectors.flatten(1)).squeeze(-1)


class AFMNetwork(Factorization):
    """Products of two features, weighed by attention."""

    def __init__(self, training: Training) -> None:
        super().__init__(training)
        size = training.embedding_size
        self.attention = nn.Sequential(
            nn.Linear(size, training.attention_size), nn.ReLU(), nn.Linear(training.attention_size, 1, bias=False)
        )
        self.dropout = nn.Dropout(training.dropout[0] if training.dropout else 0.0)
        self.out = nn.Linear(size, 1, bias=False)
        pairs = torch.triu_indices(training.field_size, training.field_size, offset=1)
        self.register_buffer("pairs", pairs, persistent=False)

    def interactions(self, vectors: Tensor) -> Tensor:
        products = vectors[:, self.pairs[0]] * vectors[:, self.pairs[1]]
        weights = torch.softmax(self.attention(products), dim=1)
        return self.out(self.dropout((weights * products).sum(dim=1))).squeeze(-1)


class Served(nn.Module):  # type: ignore[misc]
    """The network as an endpoint has it: (batch, 2, fields) of ids and values in, probabilities (batch, 1) out."""

    def __init__(self, network: Factorization) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        return torch.sigmoid(self.network(rows[:, 0].long(), rows[:, 1])).unsqueeze(-1)
