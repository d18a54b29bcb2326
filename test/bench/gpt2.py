"""A training step of GPT-2 124M (f32, 2 threads): r1c against PyTorch, interleaved in one run.

    python test/bench/gpt2.py [--rounds 3] [--steps 6] [--shapes 4x64,4x256] [--no-compile]

Needs build/bin/r1c, ./setup.sh's text, torch and numpy. Prints, for each shape, the median step of each (the
first two steps of a process are left out), the ratio r1c / best PyTorch in speed (limit 0.8), and
each one's share of the multiply-add peak that `r1c --version` measures in between.
"""
import argparse, json, os, re, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")


def flops(batch, seq, v=50257, d=768, layers=12):
    tokens = batch * seq
    products = layers * 12 * d * d + v * d          # multiply-adds per token, forward
    attention = layers * seq * d                    # causal: half of 2 * seq * d
    return 6 * tokens * (products + attention)


def r1c(a, batch, seq, store):
    out = subprocess.run(
        [a.r1c, "run", f"{HERE}/gpt2.r1", "--set", f"batch={batch}", "--set", f"seq={seq}", "--set",
         f"gpt.budget={a.steps}steps", "--store", store, "--fresh", "gpt", "--threads", "2", "--json"],
        capture_output=True, text=True, cwd=ROOT)
    if out.returncode:
        sys.exit(out.stdout[-2000:] + out.stderr)
    events = [json.loads(line) for line in out.stdout.splitlines()]
    return [e["ms"] for e in events if e["event"] == "step"][2:]


def torch(a, batch, seq, mode):
    out = subprocess.run(
        [sys.executable, f"{HERE}/gpt2_torch.py", "--batch", str(batch), "--seq", str(seq), "--steps",
         str(a.steps), "--mode", mode], capture_output=True, text=True)
    if out.returncode:
        print(f"  torch {mode}: {out.stderr.strip().splitlines()[-1]}")
        return []
    return [json.loads(line)["ms"] for line in out.stdout.splitlines()][2:]


def peak(a):
    text = subprocess.run([a.r1c, "--version"], capture_output=True, text=True).stdout
    return float(re.search(r"peak\s+([\d.]+) GFLOP/s", text)[1]) * 1e9


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--r1c", default=os.path.join(ROOT, "build/bin/r1c"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--shapes", default="4x64,4x256")
    p.add_argument("--no-compile", action="store_true")
    a = p.parse_args()
    store = tempfile.mkdtemp(prefix="r1c-bench-")
    ok = True
    for shape in a.shapes.split(","):
        batch, seq = map(int, shape.split("x"))
        times = {"r1c": [], "torch eager": [], "torch compile": []}
        peaks = []
        r1c(a, batch, seq, store)  # tokenizer and object code
        for _ in range(a.rounds):
            times["torch eager"] += torch(a, batch, seq, "eager")
            times["r1c"] += r1c(a, batch, seq, store)
            if not a.no_compile:
                times["torch compile"] += torch(a, batch, seq, "compile")
            peaks.append(peak(a))
        top = statistics.median(peaks)
        print(f"{shape}: peak {top / 1e9:.0f} GFLOP/s")
        best = None
        for name, ms in times.items():
            if not ms:
                continue
            median = statistics.median(ms)
            if name != "r1c":
                best = min(best or median, median)
            share = flops(batch, seq) / (median * 1e-3) / top
            print(f"  {name:14} {median:8.0f} ms/step (min {min(ms):.0f})   {share:5.1%} of peak")
        ratio = best / statistics.median(times["r1c"])
        ok &= ratio >= 0.8
        print(f"  r1c / best torch: {ratio:.2f} x the speed (limit 0.8)")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
