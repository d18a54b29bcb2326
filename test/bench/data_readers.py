#!/usr/bin/env python3
"""data_readers.py [--mb N] [--bin DIR]: what reading data files costs, on one core.

Prints MB/s, of the bytes before compression, for JSON lines (plain, gzip, zstd), CSV and Parquet
(Snappy, Zstandard): synthetic documents of about 2 KB, a tenth of them Chinese, with an id, a URL
and a score beside the text, which come out as JSON. Parquet is read once whole and once with the
text only, and so it is by pyarrow (PyPI: pip install pyarrow), which makes columns of it, on one
thread as well; JSON lines by Python's json, too. Each number is the best of three, all tools in turn.
Exit 1 if JSON lines are read at less than 400 MB/s plain or 250 MB/s from zstd. Build `source-bench` first. Needs three times N
MB of disk in the temporary folder.
"""
import argparse
import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time


def documents(megabytes):
    draw = random.Random(1)
    lexicon = ["".join(draw.choice("etaoinshrdlu") for _ in range(draw.choice([2, 3, 4, 5, 6, 8, 10])))
               for _ in range(30000)]
    han = [chr(draw.randrange(0x4e00, 0x9fa5)) for _ in range(3000)]
    size, i = 0, 0
    while size < megabytes * 1e6:
        i += 1
        paragraphs = []
        for _ in range(draw.randrange(1, 9)):
            if i % 10 == 0:
                p = "".join(draw.choices(han, k=draw.randrange(20, 160))) + "。"
            else:
                p = " ".join(draw.choices(lexicon, k=draw.randrange(20, 120))).capitalize() + "."
                if draw.random() < .2:
                    p = '"' + p + '"'
            paragraphs.append(p)
        text = "\n".join(paragraphs)
        size += len(text.encode())
        yield {"text": text, "id": f"<urn:{i:08x}>", "score": draw.random(),
               "url": f"https://example.org/{draw.choice(lexicon)}/{i}"}


def ours(args, kind, path, *columns):
    out = subprocess.run([os.path.join(args.bin, "source-bench"), kind, path, *columns], check=True,
                         stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def timed(f):
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--mb", type=int, default=200)
    p.add_argument("--bin", default=os.path.join(os.path.dirname(__file__), "../../build/bin"))
    args = p.parse_args()
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        sys.exit("pyarrow is not installed: pip install pyarrow")
    bad = []
    with tempfile.TemporaryDirectory() as tmp:
        rows = list(documents(args.mb))
        at = lambda name: os.path.join(tmp, name)
        with open(at("a.jsonl"), "w") as f:
            for r in rows:
                f.write(json.dumps(r, ensure_ascii=False) + "\n")
        size = os.path.getsize(at("a.jsonl"))
        subprocess.run(["zstd", "-q", "-3", at("a.jsonl"), "-o", at("a.jsonl.zst")], check=True)
        with open(at("a.jsonl"), "rb") as f, gzip.open(at("a.jsonl.gz"), "wb", 6) as g:
            while b := f.read(1 << 20):
                g.write(b)
        with open(at("a.csv"), "w", newline="") as f:
            w = csv.DictWriter(f, list(rows[0]))
            w.writeheader()
            w.writerows(rows)
        table = pyarrow.Table.from_pylist(rows)
        for codec in ["snappy", "zstd"]:
            pyarrow.parquet.write_table(table, at(f"{codec}.parquet"), compression=codec,
                                        row_group_size=20000)
        only_text = sum(len(r["text"].encode()) for r in rows)
        del table

        def run(name, kind, path, total, theirs=None, their_name="", columns=(), least=0):
            best, other, split = 1e9, 1e9, None
            for _ in range(3):
                r = ours(args, kind, at(path), *columns)
                if r["rows"] != len(rows) or r["bad"] or r["text"] != only_text:
                    sys.exit(f"{name}: read {r}, expected {len(rows)} rows")
                if r["blocks_s"] + r["parse_s"] < best:
                    best, split = r["blocks_s"] + r["parse_s"], r
                if theirs:
                    other = min(other, timed(theirs))
            line = (f"{name:26}{total / best / 1e6:8.0f} MB/s"
                    f"   blocks {total / split['blocks_s'] / 1e6:6.0f}"
                    f"   parsing {total / max(split['parse_s'], 1e-9) / 1e6:6.0f}")
            if theirs:
                line += f"   {their_name} {total / other / 1e6:6.0f}, ratio {other / best:.2f}"
            print(line, flush=True)
            if total / best / 1e6 < least:
                bad.append(f"{name} is read slower than {least} MB/s")

        def arrow(path, columns=None):
            def read():
                file = pyarrow.parquet.ParquetFile(at(path))
                for batch in file.iter_batches(columns=columns, use_threads=False):
                    pass
            return read

        def python_json():
            with open(at("a.jsonl"), "rb") as f:
                for line in f:
                    json.loads(line)

        run("JSON lines", "jsonl", "a.jsonl", size, python_json, "Python's json", least=400)
        run("JSON lines, gzip", "jsonl", "a.jsonl.gz", size)
        run("JSON lines, zstd", "jsonl", "a.jsonl.zst", size, least=250)
        run("CSV", "csv", "a.csv", os.path.getsize(at("a.csv")))
        for codec in ["snappy", "zstd"]:
            run(f"Parquet, {codec}", "parquet", f"{codec}.parquet", size, arrow(f"{codec}.parquet"),
                "pyarrow")
            run(f"Parquet, {codec}, text only", "parquet", f"{codec}.parquet", only_text,
                arrow(f"{codec}.parquet", ["text"]), "pyarrow", columns=["text"])
    for b in bad:
        print("FAILED:", b, file=sys.stderr)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
