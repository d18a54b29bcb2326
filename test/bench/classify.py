#!/usr/bin/env python3
"""classify.py [--seeds N]: AG News with examples/classify.r1, trained from scratch.

The file ../shared/data/ag_news/test.csv has 7,600 rows; the first 6,000 are trained on, the other 1,600 judged, by the
order of rows. Prints the accuracy and F1 (macro) of each seed with their 95 % intervals and the time of the whole
command, from rows to verdict. Exits with 1 if a seed is below 83 % or takes more than 5 minutes. Run it from
the root with build/bin in PATH.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time

NEWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data", "ag_news", "test.csv")
CLASSES = ["world", "sports", "business", "sci/tech"]
SETTINGS = ["vocab=8000", "seq=64", "D=256", "L=1", "drop=0.4"]


def write(path, rows):
    with open(path, "w") as f:
        for number, title, text in rows:
            f.write(json.dumps({"text": f"{title}. {text}", "label": CLASSES[int(number) - 1]}) + "\n")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seeds", type=int, default=1)
    args = args.parse_args()
    with open(NEWS, newline="") as f:
        rows = list(csv.reader(f))
    good = True
    with tempfile.TemporaryDirectory() as root:
        for name, part in (("train", rows[:6000]), ("test", rows[6000:])):
            write(os.path.join(root, name + ".jsonl"), part)
        for seed in range(args.seeds):
            store = os.path.join(root, str(seed))
            values = {"file": f'"{root}/train.jsonl"', "held": f'"{root}/test.jsonl"', "classes": json.dumps(CLASSES),
                      "judge.seed": str(seed)}
            command = ["r1c", "run", "-q", "examples/classify.r1", "--store", store]
            for setting in [f"{k}={v}" for k, v in values.items()] + SETTINGS:
                command += ["--set", setting]
            start = time.time()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.time() - start
            for name in os.listdir(store):
                path = os.path.join(store, name, "metrics.json")
                if os.path.exists(path):
                    with open(path) as f:
                        m = json.load(f)
            print(f"seed {seed}: accuracy {m['acc']:.4f} [{m['acc_low']:.4f}, {m['acc_high']:.4f}], F1 macro "
                  f"{m['f1']:.4f} [{m['f1_low']:.4f}, {m['f1_high']:.4f}], {seconds:.0f} s", flush=True)
            good = good and m["acc"] >= 0.83 and seconds <= 300
    sys.exit(0 if good else 1)


main()
