#!/usr/bin/env python3
"""rows.py STORE STAGE [N]: id, sample and output of each row of the newest corpus of a stage with N samples,
with the tokens and their log-probability; then how many rows and how many different outputs there are."""
import glob
import json
import os
import subprocess
import sys

store, stage = sys.argv[1:3]
found = []
for path in glob.glob(f"{store}/*/manifest.json"):
    with open(path) as f:
        manifest = json.load(f)
    if manifest["stage"] == stage and (len(sys.argv) < 4 or manifest["spec"]["n"] == int(sys.argv[3])):
        found.append((manifest["time"], os.path.dirname(path)))
folder = max(found)[1]
outputs = []
for shard in sorted(glob.glob(f"{folder}/rows-*.jsonl.zst")):
    text = subprocess.run(["zstdcat", shard], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        row = json.loads(line)
        outputs.append((row["output"], tuple(row["output_tokens"])))
        print(row["_id"], row["sample"], json.dumps(row["output"]), row["output_tokens"], row["logprob"], row["finish"])
print(f"{len(outputs)} rows, {len(set(outputs))} different outputs")
