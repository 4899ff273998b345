"""A TensorFlow script with all roles, as its users write it: nothing in it knows the platform."""

import json
import os
import time

import tensorflow as tf

config = json.loads(os.environ["TF_CONFIG"])
role = config["task"]["type"]
if role in ("worker", "ps"):
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(resolver.cluster_spec(), job_name=role, task_index=resolver.task_id, protocol="grpc").join()
elif role == "evaluator":
    assert "evaluator" not in config["cluster"]
    print("evaluating", flush=True)
    time.sleep(3600)
resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
strategy = tf.distribute.experimental.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
with strategy.scope():
    total = tf.Variable(0.0)


@tf.function
def step():
    total.assign_add(1.0)


for _ in range(10):
    coordinator.schedule(step)
coordinator.join()
print("total", total.numpy(), "on", total.device, flush=True)
