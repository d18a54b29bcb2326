"""Runs that are killed with `kill -9`, or asked to stop as by Ctrl-C, at random moments, until one ends."""
import os
import random
import signal
import subprocess


def moments():
    """The random moments; R1_SEED repeats those of an earlier run."""
    seed = int(os.environ.get("R1_SEED") or random.randrange(10**6))
    print(f"R1_SEED={seed}", flush=True)
    return random.Random(seed)


def run_to_the_end(prepare, command, rng, whole, share, more):
    """Starts command(n), n = 0, 1, ..., after n that were stopped: each within the first `share` of `whole` seconds at
    first, and `more` of it later each time, so that this ends. One in three is asked. If fewer than two were stopped,
    all of it begins anew, after `prepare()`. Returns how many were stopped."""
    for _ in range(10):
        prepare()
        kills = 0
        while stopped(command(kills), rng.random() * whole * (share + more * kills), kills % 3 == 1):
            kills += 1
        if kills >= 2:
            return kills
        print(f"only {kills} runs were stopped in {whole:.2f} s", flush=True)
    raise AssertionError("ten times fewer than two runs were stopped")


def stopped(command, seconds, ask):
    """Runs the command; stops it after `seconds`. False if it came to its end."""
    process = subprocess.Popen(command)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT if ask else signal.SIGKILL)
        code = process.wait()
        assert code in ((130, 0) if ask else (-signal.SIGKILL,)), f"a stopped run ended with {code}"
        return code != 0
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return False
