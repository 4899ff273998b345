"""What a training process of the benchmark of metrics does: `python logs.py WAY COUNT`.

It prints when the loop began, the CPU time that it took, and when all was stored.
"""

import os
import sys
import time

way, count = sys.argv[1], int(sys.argv[2])
run = os.environ["MLFLOW_RUN_ID"]

if way == "ours":
    import submarine_ray as submarine
    from submarine_ray.client import tracking

    submarine.log_metric("warm", 0.0, 0)  # starts what sends
    begun, used = time.time(), time.process_time()
    for step in range(count):
        submarine.log_metric("loss", step / 7, step)
    used = time.process_time() - used
    tracking.flush()
elif way == "log_batch":
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient()
    begun, used = time.time(), time.process_time()
    for first in range(0, count, 1000):
        client.log_batch(run, [Metric("loss", step / 7, 1000 + step, step) for step in range(first, first + 1000)])
    used = time.process_time() - used
else:
    import mlflow

    mlflow.start_run()
    begun, used = time.time(), time.process_time()
    for step in range(count):
        mlflow.log_metric("loss", step / 7, step)
    used = time.process_time() - used
print("times", begun, used, time.time())
