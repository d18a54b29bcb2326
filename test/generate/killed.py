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
import signal
import subprocess
import sys
import time

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
    seed = int(os.environ.get("R1_SEED") or random.randrange(10**6))
    rng = random.Random(seed)
    print(f"R1_SEED={seed}", flush=True)
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
    shutil.copytree("alone", "killed", symlinks=True)
    begin = time.time()
    subprocess.run(command("alone", 8), check=True)
    whole = time.time() - begin
    expected = files("alone")
    kills = 0
    while True:
        process = subprocess.Popen(command("killed", rng.choice([1, 3, 8, 32])))
        try:
            process.wait(rng.random() * whole * (0.5 + 0.2 * kills))
        except subprocess.TimeoutExpired:
            asked = kills % 3 == 1
            process.send_signal(signal.SIGINT if asked else signal.SIGKILL)
            code = process.wait()
            assert code in ((130, 0) if asked else (-signal.SIGKILL,)), f"a stopped run ended with {code}"
            kills += 1
            if code == 0:
                break
            continue
        assert process.returncode == 0, f"the run ended with {process.returncode}"
        break
    assert kills >= 2, f"only {kills} runs were killed"
    assert files("killed") == expected, f"after {kills} kills: {files('killed')}, alone {expected}"
    print(f"the same bytes after {kills} kills")


main(sys.argv[1])
