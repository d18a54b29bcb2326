#!/usr/bin/env python3
"""precisions.py DIR FILE.r1:PIPELINE [ARGUMENT...]: f32, mixed(bf16) and mixed(f16) end within 1 % of each other.

Compares the means of the last 20 losses, as single steps are of different rows. f16 scales its loss by 65536 from
the first step on; a step that was left out would be marked.
"""
import glob
import json
import os
import subprocess
import sys

directory, args = sys.argv[1], sys.argv[2:]
means = {}
for precision in ["f32", "mixed(bf16)", "mixed(f16)"]:
    store = os.path.join(directory, precision)
    subprocess.run(["r1c", "run", "-q", "--store", store, *args, "--set", f"net.precision={precision}"], check=True)
    [log] = glob.glob(os.path.join(store, "*", "steps.jsonl"))
    steps = [json.loads(line) for line in open(log)]
    means[precision] = sum(s["loss"] for s in steps[-20:]) / 20
    assert means[precision] < 0.8 * steps[0]["loss"], "it has not learned anything"
    if precision == "mixed(f16)":
        assert steps[0]["loss_scale"] == 65536
print(means)
assert max(means.values()) < 1.01 * min(means.values()), means
