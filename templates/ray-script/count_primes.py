"""A Ray program: one driver, its tasks anywhere in the cluster."""

from __future__ import annotations

import argparse
from itertools import pairwise

import ray

import submarine_ray as submarine


@ray.remote(num_cpus=0.5)
def count(begin: int, end: int) -> int:
    return sum(n > 1 and all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(begin, end))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=200_000)
    parser.add_argument("--tasks", type=int, default=8)
    options = parser.parse_args()
    ray.init()
    bounds = [options.limit * part // options.tasks for part in range(options.tasks + 1)]
    primes = sum(ray.get([count.remote(begin, end) for begin, end in pairwise(bounds)]))
    submarine.log_metric("primes", primes)
    print(f"{primes} primes below {options.limit}", flush=True)


if __name__ == "__main__":
    main()
