#!/usr/bin/env python3
"""Decoding at GPT-2 124M shapes: share of the memory bandwidth of this run, and against `generate` of
transformers (pip install torch transformers), with as many threads, in f32 and in bf16.

    decode.py [--slots 256] [--threads 2] [--tries 5] [--no-torch]

A token of ours is one run of `decode` with full caches of `slots` positions, every row its own text. Weights read:
all but the table of positions. `generate` starts from a prompt of half as many tokens and writes as many more.
"""
import argparse
import os
import re
import subprocess
import time

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POSITIONS = 1024 * 768 * 4  # bytes of a table of which a token reads one row


def ours(args, precision):
    """rows -> (seconds of a run, bytes per second of memory)"""
    out = subprocess.run(
        [os.path.join(root, "build/bin/decode-run"), "test/bench/decode.r1:gpt2", "--set", "precision=" + precision,
         "--rows", "1,8", "--slots", str(args.slots), "--team", str(args.threads), "--bench", str(args.tries)],
        cwd=root, capture_output=True, text=True, check=True).stdout
    found = {}
    for m in re.finditer(r"^rows (\d+),.*: ([\d.]+) ms a token; f32 weights ([\d.]+) MB; memory read at ([\d.]+) GB/s",
                         out, re.M):
        size = float(m[3]) * 1e6 - POSITIONS
        found[int(m[1])] = (float(m[2]) / 1e3, float(m[4]) * 1e9, size if precision == "f32" else size / 2)
    return found


def torch_seconds(args, rows, precision):
    """Seconds of transformers' `generate` for one token of every row, the best of the tries; of a model in f32, or
    all of it in bf16."""
    import torch
    import transformers
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    model = model.to(torch.float32 if precision == "f32" else torch.bfloat16)
    half = args.slots // 2
    prompt = torch.randint(0, 50000, (rows, half))

    def write(n):
        begin = time.perf_counter()
        with torch.no_grad():
            model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=n,
                           min_new_tokens=n, pad_token_id=50256)
        return time.perf_counter() - begin

    write(2)
    # Without the prompt: what many tokens take more than one.
    return min(write(half) - write(1) for _ in range(max(1, args.tries // 2))) / (half - 1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--slots", type=int, default=256)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--tries", type=int, default=5)
    p.add_argument("--no-torch", action="store_true")
    args = p.parse_args()
    seen = {}
    for precision in ("f32", "mixed(bf16)"):
        found = ours(args, precision)
        seen[precision] = found
        for rows, (seconds, rate, size) in found.items():
            print(f"{precision:12} {rows} rows: {seconds * 1e3:6.2f} ms, {rows / seconds:6.1f} tokens/s; weights at "
                  f"{size / seconds / 1e9:5.1f} of {rate / 1e9:5.1f} GB/s = {size / seconds / rate:.0%}", flush=True)
    if args.no_torch:
        return
    for precision, found in seen.items():
        for rows in (1, 8):
            seconds = torch_seconds(args, rows, precision)
            print(f"transformers, {precision}, {rows} rows: {seconds * 1e3:6.2f} ms, {rows / seconds:6.1f} tokens/s; ours "
                  f"with 8 rows {8 / found[8][0] / (rows / seconds):.1f} times as many, with {rows} "
                  f"{seconds / found[rows][0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
