#!/usr/bin/env python3
"""data_dedup.py [--docs N] [--memory MIB] [--threads N] [--bin DIR]: what deduplication costs.

Prints a table: MB/s of MinHash signatures (112 permutations of words 5-grams, one thread) on synthetic
English-like text of 8 KB documents; the ratio to datasketch's MinHash (PyPI: pip install datasketch
numpy), which gets the same text and the same number of permutations, in the same run;
then N synthetic documents of 100 words (10 million unless --docs) through signatures, key files, pairs and
clusters: documents/s and the peak of memory. Exit 1 if signatures are slower than 100 MB/s or less
than 50 times datasketch's update_batch, or if the peak is above 2 GiB. Build `dedup-bench` first. Needs about 2.5 GB
of disk in the temporary folder for 10 million documents.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time


def worker(args, *words):
    out = subprocess.run([os.path.join(args.bin, "dedup-bench"), *map(str, words)],
                         check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def text(documents):
    draw = random.Random(1)
    lexicon = ["".join(draw.choice("etaoinshrdlu") for _ in range(draw.choice([2, 3, 4, 5, 6, 8, 10])))
               for _ in range(30000)]
    lines = []
    for _ in range(documents):
        words = [draw.choice(lexicon) for _ in range(1300)]
        lines.append(" ".join(w.capitalize() + "," if draw.random() < .1 else w for w in words))
    return lines


def datasketch_rate(lines, limit, batch):
    """MB/s of datasketch on as many of the lines as it takes `limit` seconds to sign; batch: by
    update_batch, its fastest way, else by update, that of its own examples."""
    from datasketch import MinHash
    empty = MinHash(num_perm=112)
    done, begin = 0, time.perf_counter()
    for line in lines:
        words = line.lower().split()
        m = empty.copy()
        shingles = [" ".join(words[i:i + 5]).encode() for i in range(len(words) - 4)]
        if batch:
            m.update_batch(shingles)
        else:
            for s in shingles:
                m.update(s)
        done += len(line) + 1
        if time.perf_counter() - begin > limit:
            break
    return done / (time.perf_counter() - begin) / 1e6


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--docs", type=int, default=10_000_000)
    p.add_argument("--memory", type=int, default=512, help="MiB for entries that wait to be sorted")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bin", default=os.path.join(os.path.dirname(__file__), "../../build/bin"))
    args = p.parse_args()
    bad = []
    with tempfile.TemporaryDirectory() as tmp:
        lines = text(4000)
        path = os.path.join(tmp, "text")
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        speeds = worker(args, "signatures", path)
        rates = []
        try:
            for name, batch in [("update", False), ("update_batch", True)]:
                rates.append((name, datasketch_rate(lines, 5, batch)))
        except ImportError:
            bad.append("datasketch is not installed: pip install datasketch numpy")
        again = worker(args, "signatures", path)  # before and after the other
        for name, key in [("MinHash, 14 x 8, words 5-grams", "mb_s"), ("SimHash, words 3-grams", "simhash_mb_s"),
                          ("exact hashes", "exact_mb_s"), ("keys of lines", "parts_mb_s")]:
            speeds[key] = min(speeds[key], again[key])
            print(f"{name:37}{speeds[key]:10.1f} MB/s per thread")
        ours = speeds["mb_s"]
        if ours < 100:
            bad.append("signatures are slower than 100 MB/s")
        for name, theirs in rates:
            print(f"datasketch, {name:25}{theirs:10.3f} MB/s, ratio {ours / theirs:.0f}")
            if name == "update_batch" and ours < 50 * theirs:
                bad.append("less than 50 times datasketch's update_batch")
        whole = worker(args, "near", os.path.join(tmp, "state"), args.docs, args.memory, args.threads)
        print(f"{whole['documents']:,} documents, {args.memory} MiB, {args.threads} threads:\n"
              f"  drawn, signed, keys on disk        {whole['sign_s']:10.1f} s\n"
              f"  pairs of the bands                 {whole['pair_s']:10.1f} s\n"
              f"  joined                             {whole['join_s']:10.1f} s\n"
              f"  the whole                          {whole['docs_s']:10,.0f} documents/s\n"
              f"  duplicates                         {whole['duplicates']:10,}\n"
              f"  peak of memory                     {whole['peak_mib']:10.0f} MiB")
        if whole["peak_mib"] > 2048:
            bad.append("the peak is above 2 GiB")
    for b in bad:
        print("FAILED:", b, file=sys.stderr)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
