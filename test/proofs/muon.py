#!/usr/bin/env python3
"""muon.py DIR FILE.r1:PIPELINE [ARGUMENT...]: what `muon` makes of every matrix in the blocks is the formula's.

Trains one step with rate 0, which leaves the first weights, and one with a rate. The momentum after one step is
0.05 g, so it gives the gradient; from it and the first weights NumPy computes the second ones in f64, with the
Newton-Schulz steps and the scale of Keller Jordan's muon.py (there rows are outputs, here columns are).
"""
import glob
import json
import os
import struct
import subprocess
import sys

import numpy as np

RATE, DECAY = 0.02, 0.1


def tensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        index = json.loads(f.read(size))
        data = f.read()
    return {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], "<f4").reshape(v["shape"]).astype(float)
            for k, v in index.items() if k != "__metadata__"}


def train(store, args, rate):
    optim = f'[{{at = "blocks[*].**.w", use = muon(decay = {DECAY})}}, {{use = adamw()}}]'
    subprocess.run(["r1c", "run", "-q", "--store", store, *args, "--set", f"net.lr={rate}", "--set",
                    "net.budget=1steps", "--set", f"net.optim={optim}", "--set", "net.clip=none"], check=True)
    [model] = glob.glob(os.path.join(store, "*", "model.safetensors"))
    return tensors(model), tensors(model.replace("model", "state"))


def orthogonal(g):
    x = g / (np.linalg.norm(g) + 1e-7)
    x = x.T if g.shape[0] > g.shape[1] else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if g.shape[0] > g.shape[1] else x


directory, args = sys.argv[1], sys.argv[2:]
first, _ = train(directory + "/first", args, 0.0)
second, state = train(directory + "/second", args, RATE)
seen = 0
for path, p in first.items():
    if not (path.startswith("blocks[") and path.endswith(".w")):
        continue
    g = state["m." + path] / 0.05
    u = orthogonal((0.95 * 0.05 + 0.05) * g) * max(1, p.shape[1] / p.shape[0]) ** 0.5
    want = (1 - RATE * DECAY) * p - RATE * u
    error = np.abs(want - second[path]).max() / RATE
    assert error < 2e-4, (path, error)
    assert not np.abs(state["v." + path]).any(), path  # the other optimiser's state is not touched
    seen += 1
print(f"{seen} matrices")
assert seen >= 10
