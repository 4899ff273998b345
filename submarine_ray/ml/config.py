"""What a click-through model is told: the document of Submarine's ml library, with the same names.

Source: the `deepfm.json` of Submarine's SDK examples; `training.workers` is an addition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """The document is wrong; the message says where."""


def _listed(value: Any) -> Any:
    """Submarine writes a path as a list with one entry, people as a text."""
    return [value] if isinstance(value, str) and value else value or []


Paths = Annotated[list[str], BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Input(_Part):
    """Where the rows are."""

    train_data: Paths = Field(default_factory=list)
    """Files to train on; any place that fsspec reads."""
    valid_data: Paths = Field(default_factory=list)
    """Files that `evaluate` and each epoch judge by."""
    test_data: Paths = Field(default_factory=list)
    """Files that `predict` answers for."""
    type: Literal["libsvm", "criteo"] = "libsvm"
    """libsvm: `label id:value id:value ...`; criteo: label, 13 numbers and 26 categories, by tabs or commas."""


class Output(_Part):
    """What becomes of the model."""

    save_model_dir: str = ""
    """Where its weights go after training, and come from before evaluation; empty: they stay in memory."""
    metric: Literal["auc"] = "auc"
    """What validation measures."""


class Training(_Part):
    """How it is trained."""

    batch_size: int = Field(default=512, ge=1)
    """Rows a step, of each worker."""
    field_size: int = Field(default=39, ge=1, le=10_000)
    """How many features a row has, at most."""
    num_epochs: int = Field(default=3, ge=1)
    """How often to go through the data."""
    feature_size: int = Field(default=117_581, ge=1)
    """How many features there are: the largest id."""
    embedding_size: int = Field(default=256, ge=1, le=4096)
    """The length of a feature's vector."""
    learning_rate: float = Field(default=0.0005, gt=0)
    """Of the optimizer."""
    l2_reg: float = Field(default=0.0001, ge=0)
    """How much large weights and vectors cost; 0: nothing."""
    deep_layers: list[int] = Field(default_factory=lambda: [400, 400, 400])
    """DeepFM: the widths of the deep part."""
    dropout: list[float] = Field(default_factory=lambda: [0.3, 0.3, 0.3])
    """DeepFM: the part of each layer's outputs that is dropped in training; AFM: the first is its attention's."""
    batch_norm: bool = False
    """DeepFM: normalize each layer's outputs over the batch."""
    batch_norm_decay: float = Field(default=0.9, gt=0, lt=1)
    """How slowly what is normalized by changes."""
    attention_size: int = Field(default=32, ge=1, le=4096)
    """AFM: the width of its attention."""
    optimizer: Literal["adam", "adagrad", "momentum", "sgd"] = "adam"
    """How weights are changed."""
    log_steps: int = Field(default=10, ge=1)
    """A metric every so many steps."""
    num_threads: int = Field(default=0, ge=0)
    """Of a worker's CPU; 0: as PyTorch has it."""
    num_gpu: float = Field(default=0, ge=0, le=1)
    """GPUs of each worker: 0, 1, or a part of one."""
    seed: int = 42
    """Of the first weights and of the order of rows."""
    mode: Literal["local", "distributed"] = "local"
    """distributed: `workers` of Ray Train's share the rows."""
    workers: int = Field(default=2, ge=1, le=10_000)
    """In the mode distributed."""

    @model_validator(mode="after")
    def _layers(self) -> Training:
        if len(self.dropout) < len(self.deep_layers):
            raise ValueError(f"dropout has {len(self.dropout)} entries for {len(self.deep_layers)} deep_layers")
        if any(not 0 <= part < 1 for part in self.dropout):
            raise ValueError("dropout: each entry is at least 0 and below 1")
        return self


class Config(_Part):
    """The whole document."""

    input: Input = Field(default_factory=Input)
    """Where the rows are."""
    output: Output = Field(default_factory=Output)
    """What becomes of the model."""
    training: Training = Field(default_factory=Training)
    """How it is trained."""
    resource: dict[str, Any] | None = None
    """Submarine's; the experiment says what it needs."""


def read(document: Mapping[str, Any] | None, json_path: str | Path | None) -> Config:
    """The config from a document or a file of it. Raises ConfigError."""
    if json_path is not None:
        try:
            document = json.loads(Path(json_path).read_text())
        except (OSError, ValueError) as failure:
            raise ConfigError(f"{json_path} cannot be read as JSON: {failure}") from failure
    try:
        return Config.model_validate(dict(document or {}))
    except ValidationError as failure:
        first = failure.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the config"
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from failure
