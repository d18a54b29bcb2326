#!/usr/bin/env python3
"""likelihood.py STORE: the perplexity that the stage `judged` found in the rows of `seen`, against the
log-probabilities that `generate` gave them."""
import glob
import json
import math
import subprocess
import sys

found = {}
for path in glob.glob(sys.argv[1] + "/*/manifest.json"):
    with open(path) as f:
        manifest = json.load(f)
    found[manifest["stage"]] = (path[:-len("/manifest.json")], manifest)
rows = []
for shard in sorted(glob.glob(found["seen"][0] + "/rows-*.jsonl.zst")):
    text = subprocess.run(["zstdcat", shard], check=True, capture_output=True, text=True).stdout
    rows += [json.loads(line) for line in text.splitlines()]
nats = -sum(r["logprob"] for r in rows)
tokens = sum(len(r["output_tokens"]) for r in rows)
ppl = found["judged"][1]["metrics"]["ppl"]
long = sum(len(r["text"]) >= 12 for r in rows)
equal = abs(math.log(ppl) - nats / tokens) < 1e-6 * nats / tokens
print(f"{len(rows)} rows, {long} of them cut: perplexity {ppl}, {'equal' if equal else 'not ' + str(math.exp(nats / tokens))}")
