#!/usr/bin/env python3
"""killed.py DIR: a corpus made by runs that were killed with `kill -9` at random moments, and one made by
several ranks, are those of a run left alone, byte for byte.

Writes a text of 40 MB, of which a third are near-duplicates, into DIR. R1_SEED repeats an earlier run's
moments. With `ranks` after DIR: two and three ranks under mpirun as well.
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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from killed_runs import moments, run_to_the_end  # noqa: E402

PIPELINE = """
pipeline main() {
  stage clean = mix({a = jsonl("a.jsonl"), b = jsonl("b*.jsonl")}, by = "documents", weight = {b = 60%})
    |> filter(r => len(r.text) > 100)
    |> dedup(minhash())
    |> apply_rules([pattern("url", action = "mask", with = "<url>")])
}
"""


def write_inputs(rng):
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5000)]
    kept = []
    for name, rows in [("a.jsonl", 20000), ("b1.jsonl", 9000), ("b2.jsonl", 9000)]:
        with open(name, "w") as f:
            for i in range(rows):
                if kept and rng.random() < 0.33:
                    text = list(rng.choice(kept))
                    text[rng.randrange(len(text))] = rng.choice(words)
                else:
                    text = rng.choices(words, k=rng.randint(10, 300))
                    kept.append(text)
                url = " see http://x.org/" + str(i) if i % 5 == 0 else ""
                f.write(json.dumps({"text": " ".join(text) + url, "n": i}) + "\n")


def command(store, threads):
    return ["r1c", "run", "-q", "main.r1", "--store", store, "--threads", str(threads)]


def files(store):
    found = {}
    for folder, _, names in os.walk(store):
        for name in names:
            if name.startswith(("rows-", "ledger-")) or name == "account.json":
                with open(os.path.join(folder, name), "rb") as f:
                    found[name] = hashlib.sha256(f.read()).hexdigest()
    assert "account.json" in found, f"{store} holds no corpus"
    return found


def kill_newest(store):
    """Of the r1c processes that work on the store."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith("r1c") and store in words:
            found.append(int(pid))
    if found:
        os.kill(max(found), signal.SIGKILL)


def main(directory, ranks):
    rng = moments()
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chdir(directory)
    write_inputs(random.Random(1))
    with open("main.r1", "w") as f:
        f.write(PIPELINE)
    begin = time.time()
    subprocess.run(command("alone", 2), check=True)
    whole = time.time() - begin
    expected = files("alone")
    kills = run_to_the_end(lambda: shutil.rmtree("killed", ignore_errors=True),
                           lambda n: command("killed", 1 + n % 2), rng, whole, 0.3, 0.1)
    assert files("killed") == expected, f"after {kills} kills: {files('killed')}, alone {expected}"
    print(f"the same bytes after {kills} kills")
    for n in ranks:
        launcher = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "..", "proofs", "ranks")
        subprocess.run([launcher, str(n), *command(f"ranks{n}", 1)], check=True)
        assert files(f"ranks{n}") == expected, f"{n} ranks: {files(f'ranks{n}')}, alone {expected}"
        print(f"the same bytes with {n} ranks")
    if ranks:  # one of two is killed; three go on
        store = f"lost-{os.getpid()}"
        process = subprocess.Popen([launcher, "2", *command(store, 1)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.4 + 0.4 * rng.random()))
        kill_newest(store)
        process.wait()
        subprocess.run([launcher, "3", *command(store, 1)], check=True)
        assert files(store) == expected, f"a lost rank: {files(store)}, alone {expected}"
        print("the same bytes after a rank was killed")


main(sys.argv[1], [2, 3] if "ranks" in sys.argv[2:] else [])
