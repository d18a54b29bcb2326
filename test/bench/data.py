#!/usr/bin/env python3
"""How fast rows go from JSONL.zst through rules and deduplication to clean rows.

    test/bench/data.py [--mb 300] [--bin build/bin] [--all]

Makes a text of --mb MB out of real paragraphs of this machine (licences, manual pages, fortunes, glosses:
`./setup.sh data` fetches what is missing); of its documents 5 % are equal to an earlier one and 10 % nearly so.
Runs pipelines over it with one thread and with two, best of two runs each, and prints MB of text per
second and thread, by wall clock. The limit: at least 40 MB/s per thread through rules, exact and near
deduplication. --all then runs the comparisons with other tools (data_readers, data_rules, data_dedup,
data_dvc.py), which need what their texts say."""
import argparse
import glob
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALL_RULES = "gopher_quality(), gopher_repetition(), fineweb()"
PIPELINES = {
    "read and write": "{in}",
    "rules": "{in} |> apply_rules([%s])" % ALL_RULES,
    "exact": "{in} |> dedup(exact())",
    "near": "{in} |> dedup(minhash())",
    "rules, exact, near": "{in} |> apply_rules([%s]) |> dedup(exact()) |> dedup(minhash())" % ALL_RULES,
}


def paragraphs():
    found = []
    for name in sorted(glob.glob("/usr/share/common-licenses/*")) + [root + "/build/data/fortunes.txt"]:
        if os.path.exists(name):
            with open(name, errors="ignore") as f:
                found += f.read().split("\n\n")
    for name in sorted(glob.glob(root + "/build/data/usr/share/man/man7/*.gz")):
        with gzip.open(name, "rt", errors="ignore") as f:
            found += f.read().split("\n\n")
    for name in sorted(glob.glob("/usr/share/wordnet/data.*")):
        with open(name) as f:
            found += [line.split("| ", 1)[1].strip() for line in f if "| " in line]
    return [p for p in found if 40 < len(p) < 4000]


def write_input(path, megabytes):
    rng = random.Random(1)
    parts = paragraphs()
    earlier, size, rows = [], 0, 0
    with subprocess.Popen(["zstd", "-q", "-3", "-f", "-o", path], stdin=subprocess.PIPE) as p:
        while size < megabytes * 1e6:
            kind = rng.random()
            if earlier and kind < 0.15:
                text = rng.choice(earlier)
                if kind < 0.1:
                    words = text.split(" ")
                    for _ in range(max(1, len(words) // 100)):
                        words[rng.randrange(len(words))] = "instead"
                    text = " ".join(words)
            else:
                text = "\n\n".join(rng.choice(parts) for _ in range(rng.randint(1, 12)))
                earlier.append(text)
                if len(earlier) > 20000:
                    earlier = earlier[::2]
            size += len(text.encode())
            rows += 1
            p.stdin.write((json.dumps({"text": text, "n": rows}, ensure_ascii=False) + "\n").encode())
        p.stdin.close()
    return size, rows


def run(binary, expression, path, threads, folder):
    with open(folder + "/main.r1", "w") as f:
        f.write('pipeline main() {\n  stage c = %s\n}\n' % expression.replace("{in}", 'jsonl("%s")' % path))
    shutil.rmtree(folder + "/store", ignore_errors=True)
    begin = time.time()
    out = subprocess.run([binary, "run", "-q", "main.r1", "--store", "store", "--threads", str(threads)],
                         cwd=folder, capture_output=True, text=True)
    seconds = time.time() - begin
    if out.returncode:
        sys.exit(out.stderr)
    account = glob.glob(folder + "/store/*/account.json")[0]
    with open(account) as f:
        a = json.load(f)
    return seconds, a["rows"] / a["passes"][0]["in"]


def pack_speed(binary, path, folder):
    """MB/s of tokenising and packing, from a training of one step: what lies between its start and that step."""
    with open(folder + "/main.r1", "w") as f:
        f.write("""pipeline main() {
  stage c = jsonl("%s") |> sample(20000)
  stage t = bpe(c |> sample(2000), 8000)
  stage g = train(model = GPT(8000, D = 16, L = 1, H = 1), data = c |> pack(t, 512), loss = lm_loss, batch = 2,
                  budget = 1steps)
}
""" % path)
    shutil.rmtree(folder + "/store", ignore_errors=True)
    begin = end = 0
    for fresh in ([], ["--fresh", "g"]):  # the second time the kernels are there
        out = subprocess.run([binary, "run", "--json", "main.r1", "--store", "store", "--threads", "1", *fresh],
                             cwd=folder, capture_output=True, text=True)
        if out.returncode:
            sys.exit(out.stderr)
        for e in map(json.loads, out.stdout.splitlines()):
            if e["event"] == "stage" and e["stage"] == "g" and e["state"] == "started":
                begin = e["t"]
            if e["event"] == "step":
                end = e["t"]
    size = 0
    for account in glob.glob(folder + "/store/*/account.json"):
        with open(account) as f:
            size = json.load(f)["text_bytes"]
    return size / 1e6 / (end - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=300)
    parser.add_argument("--bin", default=root + "/build/bin")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    binary = os.path.abspath(args.bin) + "/r1c"
    slow = False
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/in.jsonl.zst"
        size, rows = write_input(path, args.mb)
        print(f"{size / 1e6:.0f} MB of text, {rows} documents, {os.path.getsize(path) / 1e6:.0f} MB as JSONL.zst")
        print(f"{'':24}{'1 thread':>12}{'2 threads':>24}{'kept':>9}")
        for name, expression in PIPELINES.items():
            best = {t: min(run(binary, expression, path, t, folder) for _ in range(2)) for t in (1, 2)}
            speed = {t: size / 1e6 / best[t][0] for t in best}
            print(f"{name:24}{speed[1]:7.1f} MB/s{speed[2]:9.1f} MB/s, {speed[2] / 2:5.1f} each"
                  f"{100 * best[1][1]:7.1f} %", flush=True)
            slow = slow or (name == "rules, exact, near" and speed[1] < 40)
        print(f"{'tokenise and pack':24}{pack_speed(binary, path, folder):7.1f} MB/s")
    if args.all:
        for script in ("data_readers", "data_rules", "data_dedup", "data_dvc"):
            print(f"\n{script}.py", flush=True)
            code = subprocess.run([sys.executable, f"{root}/test/bench/{script}.py"]).returncode
            slow = slow or code != 0
    if slow:
        sys.exit("slower than the limit: 40 MB/s in one thread through rules, exact and near deduplication, or "
                 "what a script above has said")


main()
