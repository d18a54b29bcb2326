#!/usr/bin/env python3
"""killed.py DIR: a corpus to whose rows a model wrote, in runs that were killed with `kill -9` or asked to stop
at random moments and with other numbers of texts at once, is that of a run left alone, byte for byte.

R1_SEED repeats an earlier run's moments.
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from killed_runs import moments, run_to_the_end  # noqa: E402

PIPELINE = "write.r1"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def command(store, batch, until="drafts"):
    return ["r1c", "run", "-q", PIPELINE, "--store", store, "--until", until, "--set", f"batch={batch}",
            "--set", 'asks="asks.jsonl"', "--set", "max_new=60", "--set", "n=2"]


def files(store):
    found = {}
    for folder, _, names in os.walk(store):
        if "generated.json" not in names:
            continue
        assert "outputs.jsonl" not in names, "the log is still there"
        for name in names:
            if name not in ("manifest.json", "lock"):
                with open(os.path.join(folder, name), "rb") as f:
                    found[name] = hashlib.sha256(f.read()).hexdigest()
    assert "account.json" in found, f"{store} holds no corpus"
    return found


def main(directory):
    rng = moments()
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chdir(directory)
    with open(f"{ROOT}/test/generate/Inputs/write.r1") as f, open(PIPELINE, "w") as out:
        out.write(f.read().replace("test/cli/Inputs", f"{ROOT}/test/cli/Inputs"))
    words = "the river a baker bread house and of over mill stone old".split()
    texts = random.Random(1)
    with open("asks.jsonl", "w") as f:
        for i in range(400):
            f.write(json.dumps({"text": " ".join(texts.choices(words, k=1 + i % 9)), "n": i}) + "\n")
    subprocess.run(command("alone", 8, until="gpt"), check=True)
    shutil.copytree("alone", "begun", symlinks=True)
    begin = time.time()
    subprocess.run(command("alone", 8), check=True)
    whole = time.time() - begin
    expected = files("alone")

    def prepare():
        shutil.rmtree("killed", ignore_errors=True)
        shutil.copytree("begun", "killed", symlinks=True)

    kills = run_to_the_end(prepare, lambda n: command("killed", rng.choice([1, 3, 8, 32])), rng, whole, 0.5, 0.2)
    assert files("killed") == expected, f"after {kills} kills: {files('killed')}, alone {expected}"
    print(f"the same bytes after {kills} kills")


main(sys.argv[1])
