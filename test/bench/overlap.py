#!/usr/bin/env python3
"""overlap.py [RANKS...]: how much of the sums over ranks lies behind the backward pass.

For each number of ranks (default 1 2 4): 8 steps of overlap.r1 with device(shards = 4), one thread per
rank, started by mpirun. Prints the median step and the last line of --profile: seconds that the sums
took in the background, and those that were waited for after the backward pass. All runs have the same
bits, which is checked. On a machine with fewer cores than ranks the step says nothing about speed.
"""
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def run(ranks, store):
    profile = os.path.join(store, "profile")
    subprocess.run(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), "r1c", "run", "-q",
                    "test/bench/overlap.r1", "--set", "net.on=device(shards = 4)", "--threads", "1",
                    "--store", store, "--profile", profile], env=env, check=True, stdout=subprocess.DEVNULL)
    with open(glob.glob(store + "/*/steps.jsonl")[0]) as f:
        steps = [json.loads(line) for line in f]
    with open(profile) as f:
        sums = f.read().splitlines()[-1] if ranks > 1 else "one rank"
    print(f"{ranks} ranks: {statistics.median(s['ms'] for s in steps[1:]):.0f} ms per step; {sums}", flush=True)
    return [(s["loss"], s["grad_norm"]) for s in steps]


def main(counts):
    with tempfile.TemporaryDirectory() as root:
        series = [run(n, os.path.join(root, str(n))) for n in counts]
    if any(s != series[0] for s in series):
        sys.exit("the losses differ with the number of ranks")


main([int(a) for a in sys.argv[1:]] or [1, 2, 4])
