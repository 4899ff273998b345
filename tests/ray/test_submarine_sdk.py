"""What Submarine's documents show, as they show it: its quickstart script, its clients' names and signatures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import submarine_ray as submarine
from submarine_ray.spec.experiment import ExperimentStatus
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray

# From "Quickstart", less its data: tensorflow_datasets is a download, these are scikit-learn's digits in its shape.
QUICKSTART = """
import tensorflow as tf
from tensorflow.keras import layers, models

import submarine


def make_datasets_unbatched():
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 8, 8), np.ones((4, 4)))[:, 2:30, 2:30, None] / 16
    return tf.data.Dataset.from_tensor_slices((images.astype("float32"), labels)).cache().shuffle(10000)


def build_and_compile_cnn_model():
    model = models.Sequential()
    model.add(layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))

    model.summary()

    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    return model


def main():
    strategy = tf.distribute.experimental.MultiWorkerMirroredStrategy(
        communication=tf.distribute.experimental.CollectiveCommunication.AUTO
    )

    BATCH_SIZE_PER_REPLICA = 4
    BATCH_SIZE = BATCH_SIZE_PER_REPLICA * strategy.num_replicas_in_sync

    with strategy.scope():
        ds_train = make_datasets_unbatched().batch(BATCH_SIZE).repeat()
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        ds_train = ds_train.with_options(options)
        # Model building/compiling need to be within `strategy.scope()`.
        multi_worker_model = build_and_compile_cnn_model()

    class MyCallback(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            # monitor the loss and accuracy
            print(logs)
            submarine.log_metric("loss", logs["loss"], epoch)
            submarine.log_metric("accuracy", logs["accuracy"], epoch)

    multi_worker_model.fit(ds_train, epochs=10, steps_per_epoch=70, callbacks=[MyCallback()])
    # save model
    submarine.save_model(multi_worker_model, "tensorflow")


if __name__ == "__main__":
    main()
"""

CLIENTS = """
from submarine import ModelsClient

client = ModelsClient()
with client.start() as run:
    client.log_param("learning_rate", 0.01)
    client.log_params({"n_estimators": 10})
    client.log_metric("mse", 2500.0)
    client.log_metrics({"rmse": 50.0}, step=3)
"""

SAVING = """
from sklearn.linear_model import LinearRegression
from submarine import ModelsClient, SubmarineClient

model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
SubmarineClient().save_model(model, "sklearn", "by-submarine-client", input_dim=[-1, 1])
client = ModelsClient()
with client.start():
    client.save_model("sklearn", model, "mine", "by-models-client", input_dim=[-1, 1])
"""


@pytest.mark.long
def test_the_documents_quickstart_script(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(QUICKSTART)
    code = {"syncMode": "local", "url": str(tmp_path)}
    id = platform.submit("python train.py", "TensorFlow", workers=2, resources="cpu=1,memory=2048M", code=code)
    assert platform.ended(id, 300)["status"] == ExperimentStatus.SUCCEEDED, platform.lines(id)
    metrics = {(m["replica"], m["key"], m["step"]) for m in platform.client.metrics(id)}
    assert {("worker-0", "accuracy", 9), ("worker-1", "loss", 9)} <= metrics
    models = submarine.ModelClient(platform.url)
    version = models.register("documented", id)
    assert (version["experimentId"], version["version"]) == (id, 1)


def test_models_client_logs_to_the_experiments_run(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CLIENTS)
    code = {"syncMode": "local", "url": str(tmp_path)}
    id = platform.submit("python train.py", "Python", workers=2, code=code)
    assert platform.ended(id)["status"] == ExperimentStatus.SUCCEEDED, platform.lines(id)
    metrics = {(m["replica"], m["key"], m["value"], m["step"]) for m in platform.client.metrics(id)}
    each = (("mse", 2500.0, 0), ("rmse", 50.0, 3))
    assert metrics == {(f"worker-{n}", *values) for n in (0, 1) for values in each}
    params = platform.client.service.call("GET", f"/api/v1/experiment/{id}/params")
    assert {"replica": "worker-1", "key": "n_estimators", "value": "10"} in params


@pytest.mark.long
def test_models_are_saved_by_both_clients(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SAVING)
    id = platform.submit("python train.py", "Python", code={"syncMode": "local", "url": str(tmp_path)})
    assert platform.ended(id)["status"] == ExperimentStatus.SUCCEEDED, platform.lines(id)
    models = submarine.ModelClient(platform.url)
    for name in ("by-submarine-client", "by-models-client"):
        (version,) = models.list_versions(name)
        assert (version["experimentId"], version["modelType"]) == (id, "sklearn")
    second = models.register("the-second", id, f"experiment/{id}/2")
    assert second["source"] == models.get_version("by-models-client", 1)["source"]
    with pytest.raises(submarine.ApiError, match="it saved: model, mine"):
        models.register("the-third", id, f"experiment/{id}/3")


def test_submarine_client_logs_from_outside(platform: RunningPlatform) -> None:
    id = platform.submit("true", workers=2)
    platform.ended(id)
    client = submarine.SubmarineClient(host=platform.url)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    client.log_metric(id, "later", 0.25, "worker-0", at, 7)
    client.log_metric(id, "later", 0.5, "worker-1")
    client.log_param(id, "note", "checked by hand", "worker-1")
    found = {m["replica"]: m for m in platform.client.metrics(id)}
    assert (found["worker-0"]["value"], found["worker-0"]["step"]) == (0.25, 7)
    assert found["worker-0"]["timestamp"] == int(at.timestamp() * 1000)
    assert found["worker-1"]["value"] == 0.5 and set(found) == {"worker-0", "worker-1"}
    params = platform.client.service.call("GET", f"/api/v1/experiment/{id}/params")
    assert params == [{"replica": "worker-1", "key": "note", "value": "checked by hand"}]
    with pytest.raises(submarine.ApiError) as unknown:
        client.log_metric("experiment-1-0001", "x", 1.0, "worker-0")
    assert unknown.value.code == 404
    with pytest.raises(ValueError, match="cannot name a metric"):
        client.log_metric(id, "../up", 1.0, "worker-0")
    with pytest.raises(submarine.ApiError) as missing:
        client.create_serve("no-such-model", 1).get(30)
    assert missing.value.code == 404
    with pytest.raises(submarine.ApiError):
        client.delete_serve("no-such-model", 1, async_req=False)


@pytest.mark.long
def test_models_client_outside_of_experiments(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUBMARINE_URL", platform.url)
    client = submarine.ModelsClient()
    with client.start() as run:
        client.log_metric("mse", 1.5)
        mlflow.sklearn.log_model(
            _model(), name="model", registered_model_name="outside", skops_trusted_types=["numpy.dtype"]
        )
    assert mlflow.get_run(run.info.run_id).data.metrics == {"mse": 1.5}
    assert client.load_model("outside", 1).predict([[2.0]]).tolist() == pytest.approx([4.0])
    client.update_model("outside", "renamed-by-it")
    client.delete_model("renamed-by-it", 1)
    assert submarine.ModelClient(platform.url).list_versions("renamed-by-it") == []


def _model() -> object:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])


def test_async_twins(platform: RunningPlatform) -> None:
    experiments, environments = platform.client, submarine.EnvironmentClient(platform.url)
    id = platform.submit("true")
    assert experiments.get_experiment_async(id).get(30)["experimentId"] == id
    assert id in [e["experimentId"] for e in experiments.list_experiments_async().get(30)]
    assert experiments.delete_experiment_async(id).get(30)["status"] == "Deleted"
    with pytest.raises(submarine.ApiError) as gone:
        experiments.get_experiment_async(id).get(30)
    assert gone.value.code == 404
    made = environments.create_environment_async({"name": "async-env"}).get(30)
    assert environments.get_environment_async("async-env").get(30) == made
    assert made in environments.list_environments_async().get(30)
    assert environments.delete_environment_async("async-env").get(30) == made
    notebooks = submarine.NotebookClient(platform.url)
    created = notebooks.create_notebook({"meta": {"name": "async-nb"}, "spec": {"resources": "cpu=0.5"}})
    assert notebooks.get_notebook_async(created["notebookId"]).get(30)["name"] == "async-nb"
    assert created["notebookId"] in [n["notebookId"] for n in notebooks.list_notebooks_async().get(30)]
    assert notebooks.delete_notebook_async(created["notebookId"]).get(30)["status"] == "terminating"
