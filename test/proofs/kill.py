#!/usr/bin/env python3
"""kill.py DIR FILE.r1:PIPELINE [ARGUMENT...]: a run killed with `kill -9` at three random moments and
started again each time ends in the same bytes as a run left alone.

Trains into DIR/alone, then into DIR/killed with three kills; checkpoints are written every 7 steps. A
moment is a random step and a random part of a step after it, so that kills fall into the sweep, the
checkpoint and the log alike. R1_SEED repeats an earlier run's moments; R1_SIGNAL=SIGTERM asks the run to stop
instead.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

EVERY = "7"


def command(store, args):
    return ["r1c", "run", "--json", "--store", store, "--checkpoint-every", EVERY, *args]


def events(process):
    for line in process.stdout:
        yield json.loads(line)


def main(directory, args):
    seed = int(os.environ.get("R1_SEED") or random.randrange(10**6))
    rng = random.Random(seed)
    print(f"R1_SEED={seed}")
    alone, killed = os.path.join(directory, "alone"), os.path.join(directory, "killed")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(killed)
    out = subprocess.run(command(alone, args), check=True, capture_output=True, text=True).stdout
    steps = [e for e in map(json.loads, out.splitlines()) if e["event"] == "step"]
    ms = sorted(s["ms"] for s in steps)[len(steps) // 2]
    last = steps[-1]["step"]
    shutil.copytree(os.path.join(alone, "kernels"), os.path.join(killed, "kernels"))

    moments = sorted(rng.sample(range(9, last * 3 // 5), 3))
    for i, moment in enumerate(moments):
        threads = ["--threads", str(1 + i % 2)]  # nor does it matter with how many a run goes on
        process = subprocess.Popen(command(killed, args + threads), stdout=subprocess.PIPE, text=True)
        begin = None
        for e in events(process):
            if e["event"] == "step":
                begin = begin or e["step"]
                if e["step"] >= moment:
                    break
        time.sleep(rng.random() * ms / 1000)
        how = signal.Signals[os.environ.get("R1_SIGNAL", "SIGKILL")]
        process.send_signal(how)
        for _ in events(process):  # to the end, or it would wait for a reader
            pass
        process.wait()
        if process.returncode != (130 if how == signal.SIGTERM else -how):
            sys.exit(f"the run ended before it was killed, with {process.returncode}")
        print(f"began with step {begin}, killed after step {e['step']} was reported")
    out = subprocess.run(command(killed, args), check=True, capture_output=True, text=True).stdout
    begin = next(e["step"] for e in map(json.loads, out.splitlines()) if e["event"] == "step")
    print(f"began with step {begin}, ran to the end")
    if begin < 2:
        sys.exit("the last run did not resume: it began with the first step")


main(sys.argv[1], sys.argv[2:])
