"""A distributed image classifier in TensorFlow: MultiWorkerMirroredStrategy and Keras' own `fit`."""

from __future__ import annotations

import argparse
import json
import os

import data
import tensorflow as tf

import submarine_ray as submarine


class Report(tf.keras.callbacks.Callback):
    """Tells the platform of each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        submarine.log_metric("loss", logs["loss"], epoch + 1)
        submarine.log_metric("accuracy", logs["val_accuracy"], epoch + 1)
        print(f"epoch {epoch + 1} loss {logs['loss']:.4f} accuracy {logs['val_accuracy']:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="directory with MNIST's IDX files; empty: scikit-learn's digits")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=32, help="for each worker")
    parser.add_argument("--learning-rate", type=float, default=0.003)
    parser.add_argument("--model-name")
    options = parser.parse_args()

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    tf.keras.utils.set_random_seed(7)
    train_x, train_y, test_x, test_y = data.split(*data.load(options.data))
    features = train_x.shape[1]
    batch = options.batch_size * strategy.num_replicas_in_sync

    def dataset(x, y):
        by_data = tf.data.Options()
        by_data.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch, drop_remainder=True).with_options(by_data)

    with strategy.scope():
        model = tf.keras.Sequential(
            [
                tf.keras.layers.Input((features,)),
                tf.keras.layers.Dense(256, activation="relu"),
                tf.keras.layers.Dropout(0.2),
                tf.keras.layers.Dense(10, activation="softmax"),
            ]
        )
        optimizer = tf.keras.optimizers.Adam(options.learning_rate)
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        dataset(train_x, train_y),
        validation_data=dataset(test_x, test_y),
        epochs=options.epochs,
        callbacks=[Report()],
        verbose=0,
    )

    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"type": "worker", "index": 0})
    if (task["type"], task["index"]) in (("worker", 0), ("chief", 0)):
        data.keep_holdout(test_x, test_y)
        # A copy outside the strategy: saving must not wait for the other workers.
        single = tf.keras.models.clone_model(model)
        single.set_weights(model.get_weights())
        submarine.save_model("tensorflow", single, options.model_name or None, [-1, features], [-1, 10])


if __name__ == "__main__":
    main()
