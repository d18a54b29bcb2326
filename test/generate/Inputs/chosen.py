#!/usr/bin/env python3
"""chosen.py STORE: the rows of the stage `chosen`."""
import glob, json, subprocess, sys

for m in glob.glob(sys.argv[1] + "/*/manifest.json"):
    if json.load(open(m))["stage"] == "chosen":
        for f in sorted(glob.glob(m[:-13] + "rows-*.jsonl.zst")):
            sys.stdout.buffer.write(subprocess.check_output(["zstd", "-dcq", f]))
