"""The models as Submarine's ml library has them: told by a document, then `train`, `evaluate`, `predict`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from submarine_ray.client.tracking import log_metric, save_model
from submarine_ray.ml import data
from submarine_ray.ml.auc import StreamingAuc
from submarine_ray.ml.config import Config, ConfigError
from submarine_ray.ml.config import read as read_config
from submarine_ray.ml.networks import AFMNetwork, DeepFMNetwork, Factorization, FMNetwork, Served

WEIGHTS = "model.pt"
SERVED_FEATURES = 2**24  # endpoints take ids as 32-bit floats, which count so far
EVALUATION_BATCH = 8192

Log = Callable[[dict[str, float], int], Any]


class Model:
    """A click-through model.

    Args:
        config: the document; see `submarine_ray.ml.config`, or docs/templates.md.
        json_path: a file that holds it, instead.

    Raises ConfigError.
    """

    network: type[Factorization]

    def __init__(self, config: Mapping[str, Any] | None = None, json_path: str | Path | None = None) -> None:
        self.config: Config = read_config(config, json_path)
        self._trained: Factorization | None = None

    def train(self) -> dict[str, float]:
        """Train, and save the weights where the config says; the last metrics. Raises ConfigError, DataError."""
        config = self.config
        if not config.input.train_data:
            raise ConfigError("input.train_data: is empty; name a file to train on")
        connect()
        if config.training.mode == "distributed" or _needs_worker(config):
            state, metrics = _distributed(self.network, config)
            self._trained = self._new()
            self._trained.load_state_dict(state)
        else:
            self._trained = _new(self.network, config).to(_device(config))
            rows = data.of(config.input, config.input.train_data, config.training, shuffle=True)
            metrics = fit(self._trained, self._trained, rows, config, _log)
        if directory := config.output.save_model_dir:
            Path(directory).mkdir(parents=True, exist_ok=True)
            torch.save(self._trained.state_dict(), Path(directory, WEIGHTS))
        return metrics

    def evaluate(self, paths: Sequence[str] | None = None) -> dict[str, float]:
        """`auc` and `loss` on the validation files, or on those given. Raises ConfigError, DataError."""
        chosen = list(paths or self.config.input.valid_data)
        if not chosen:
            raise ConfigError("input.valid_data: is empty; name a file to judge by")
        connect()
        return measure(self._loaded(), data.of(self.config.input, chosen, self.config.training, shuffle=False))

    def predict(self, paths: Sequence[str] | None = None) -> np.ndarray:
        """The probability of each row of the test files, or of those given, in their order. Raises as `evaluate`."""
        chosen = list(paths or self.config.input.test_data)
        if not chosen:
            raise ConfigError("input.test_data: is empty; name a file to answer for")
        connect()
        import ray.data

        rows = data.of(self.config.input, chosen, self.config.training, shuffle=False)
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        network = self._loaded()
        found = [probabilities for probabilities, _ in _answers(network, rows)]
        return np.concatenate(found) if found else np.empty(0, dtype=np.float32)

    def register(self, name: str | None) -> None:
        """Save the model with the experiment, and under `name` in the registry, as endpoints serve it."""
        training = self.config.training
        if training.feature_size >= SERVED_FEATURES:
            raise ConfigError(f"training.feature_size: endpoints serve models of fewer than {SERVED_FEATURES} features")
        save_model("pytorch", Served(self._loaded()), name, [-1, 2, training.field_size], [-1, 1])

    def _new(self) -> Factorization:
        return _new(self.network, self.config)

    def _loaded(self) -> Factorization:
        """The trained network, from this object or from where it was saved. Raises ConfigError."""
        if self._trained is None:
            file = Path(self.config.output.save_model_dir or ".", WEIGHTS)
            if not file.exists():
                raise ConfigError(f"output.save_model_dir: {file} is not there; train the model first")
            self._trained = self._new()
            self._trained.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
        return self._trained


class DeepFM(Model):
    """A factorization machine and a deep network over the same vectors."""

    network = DeepFMNetwork


class FM(Model):
    """A factorization machine."""

    network = FMNetwork


class AFM(Model):
    """A factorization machine with attention."""

    network = AFMNetwork


def connect() -> None:
    """To the cluster that this process belongs to, else to a Ray of its own."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="WARNING")


def fit(model: nn.Module, network: Factorization, rows: Any, config: Config, log: Log) -> dict[str, float]:
    """Train `model` (the network, or what wraps it for several workers) on the rows; the last metrics.

    `rows` is anything of Ray Data's with `iter_torch_batches`. Validation is rank 0's.
    """
    training = config.training
    if training.num_threads:
        torch.set_num_threads(training.num_threads)
    optimizer = _optimizer(network, training)
    device = next(network.parameters()).device
    metrics: dict[str, float] = {}
    step, total = 0, torch.zeros((), device=device)
    read = data.Epochs(rows, training.num_epochs, device)
    for epoch in range(1, training.num_epochs + 1):
        model.train()
        for batch in read.batches(training.batch_size):
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch["ids"], batch["values"]), batch["label"])
            whole = loss + 0.5 * training.l2_reg * network.penalty(batch["ids"]) if training.l2_reg else loss
            optimizer.zero_grad()
            whole.backward()
            optimizer.step()
            step, total = step + 1, total + loss.detach()
            if step % training.log_steps == 0:
                metrics = {"loss": total.item() / training.log_steps}
                log(metrics, step)
                total.zero_()
        if config.input.valid_data and _rank() == 0:
            valid = data.of(config.input, config.input.valid_data, training, shuffle=False)
            measured = measure(network, valid)
            metrics = {**metrics, "auc": measured["auc"], "valid_loss": measured["loss"]}
            log({"auc": measured["auc"], "valid_loss": measured["loss"]}, step)
            print(f"epoch {epoch} auc {measured['auc']:.4f} loss {measured['loss']:.4f}", flush=True)
    return metrics


def measure(network: Factorization, rows: Any) -> dict[str, float]:
    """`auc` and `loss` of the rows."""
    auc, loss, count = StreamingAuc(), 0.0, 0
    for probabilities, labels in _answers(network, rows):
        auc.add(probabilities, labels)
        likely = np.clip(np.where(labels > 0, probabilities, 1 - probabilities), 1e-7, 1.0)
        loss, count = loss - float(np.log(likely).sum()), count + len(labels)
    return {"auc": auc.value, "loss": loss / max(1, count)}


def _answers(network: Factorization, rows: Any) -> Any:
    """(probabilities, labels), batch by batch."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for batch in data.Epochs(rows, 1, device).batches(EVALUATION_BATCH):
            logits = network(batch["ids"], batch["values"])
            yield torch.sigmoid(logits).cpu().numpy(), batch["label"].cpu().numpy()


def _new(network: type[Factorization], config: Config) -> Factorization:
    torch.manual_seed(config.training.seed)
    return network(config.training)


def _device(config: Config) -> torch.device:
    """Each process sees its own GPUs only, so the first one visible is the one to use."""
    return torch.device("cuda" if config.training.num_gpu else "cpu")


def _needs_worker(config: Config) -> bool:
    """Whether a GPU is wanted that this process has not: then one of Ray Train's workers gets it, and trains."""
    return bool(config.training.num_gpu) and not torch.cuda.is_available()


def _scaling(config: Config, workers: int) -> Any:
    """What Ray Train's workers get. Raises ConfigError for GPUs that the cluster can never give."""
    import ray
    from ray.train import ScalingConfig

    gpus = config.training.num_gpu
    there = ray.cluster_resources().get("GPU", 0)
    if gpus * workers > there:
        raise ConfigError(f"training.num_gpu: {workers} workers need {gpus * workers:g} GPUs, and there are {there:g}")
    each = {"CPU": 1.0, **({"GPU": gpus} if gpus else {})}
    return ScalingConfig(num_workers=workers, use_gpu=gpus > 0, resources_per_worker=each)


def _optimizer(network: nn.Module, training: Any) -> torch.optim.Optimizer:
    made: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adagrad": torch.optim.Adagrad,
        "momentum": lambda weights, lr: torch.optim.SGD(weights, lr, momentum=0.95),
        "sgd": torch.optim.SGD,
    }
    return made[training.optimizer](network.parameters(), training.learning_rate)


def _log(metrics: dict[str, float], step: int) -> None:
    for name, value in metrics.items():
        log_metric(name, value, step)


def _nothing(metrics: dict[str, float], step: int) -> None:
    """What other ranks than the first log."""


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _distributed(network: type[Factorization], config: Config) -> tuple[dict[str, Any], dict[str, float]]:
    """Train on Ray Train's workers; rank 0's weights and last metrics."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # a report waits for the next of these
    from ray.train import RunConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from submarine_ray.client.remote_log import remote_log

    workers = config.training.workers if config.training.mode == "distributed" else 1
    scaling = _scaling(config, workers)
    # NCCL takes no two workers on one GPU.
    backend = "gloo" if workers > 1 and 0 < config.training.num_gpu <= 1 / 2 else None
    rows = data.of(config.input, config.input.train_data, config.training, shuffle=True)
    with remote_log() as log, tempfile.TemporaryDirectory() as storage:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"network": network, "config": config.model_dump(), "log": log},
            datasets={"train": rows},
            scaling_config=scaling,
            torch_config=TorchConfig(backend=backend),
            run_config=RunConfig(storage_path=storage),
        )
        try:
            result = trainer.fit()
        except Exception as failure:  # Ray Train wraps what a worker raised, in many lines
            raise _cause(failure) from failure
        with result.checkpoint.as_directory() as directory:
            return torch.load(Path(directory, WEIGHTS), weights_only=True, map_location="cpu"), dict(result.metrics)


def _cause(failure: Exception) -> BaseException:
    """What the first worker that failed raised itself, where Ray Train knows it."""
    for _, cause in sorted(getattr(failure, "worker_failures", {}).items()):
        return getattr(cause, "_base_exc", cause)  # type: ignore[no-any-return]
    return failure


def _worker(settings: dict[str, Any]) -> None:
    import ray.train
    from ray.train.torch import get_device
    from torch.nn.parallel import DistributedDataParallel

    config = Config.model_validate(settings["config"])
    if config.training.num_gpu and not torch.cuda.is_available():
        raise ConfigError(
            f"training.num_gpu: a worker was given a GPU, and its PyTorch ({torch.__version__}) finds none"
        )
    # Whoever asked for no GPU may see one all the same, where Ray hides none.
    network = _new(settings["network"], config).to(get_device() if config.training.num_gpu else "cpu")
    model = DistributedDataParallel(network)
    is_first = ray.train.get_context().get_world_rank() == 0
    # Not ray.train.report, which is a meeting of all workers.
    log = settings["log"] if is_first else _nothing
    metrics = fit(model, network, ray.train.get_dataset_shard("train"), config, log)
    with tempfile.TemporaryDirectory() as directory:
        if is_first:
            torch.save(network.state_dict(), Path(directory, WEIGHTS))
        checkpoint = ray.train.Checkpoint.from_directory(directory) if is_first else None
        ray.train.report(metrics, checkpoint=checkpoint)
