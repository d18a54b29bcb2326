#!/usr/bin/env python3
"""data_simplify.py [--write] [--bin DIR] [FILE ...]: our folded normal form against datatrove's.

Without files: checks test/runtime_dedup/expected/simplify.jsonl, texts of our making with what
datatrove's simplify_text makes of them (PyPI: pip install datatrove), or writes it anew. With files:
the share of their non-empty lines of which both make the same, and the first lines that differ. Build
`dedup-bench` first.
"""
import argparse
import importlib.metadata
import json
import os
import subprocess
import sys

from datatrove.utils.text import simplify_text

EXPECTED = os.path.join(os.path.dirname(__file__), "../runtime_dedup/expected/simplify.jsonl")
TEXTS = [
    "", "   ", "\n\t", "!?", "word", "Two  Words", " ends with space ", "Tab\tand\nnew\r\nlines",
    "Don't PANIC -- it's 42%!", "e-mail: me@example.com", "http://example.com/a_b?c=d&e=f#g",
    "3.14", "1,234,567", "1.2.3.4", "v1.5b", "x4y", "4x4", "007", "12", "1. one", "one 1.", ".5", "5.",
    "1..2", "1,,2", "1.,2", "1 2", "1-2", "2024-01-31T12:00:00", "$1,000.50", "99%", "3.x", "x.3",
    "٣٫١٤", "१२३", "１２．３", "７", "³ ½ ① Ⅷ", "第12章 3", "4GB和8GB",
    "café CAFÉ", "e\u0301 = \u00e9", "naïve façade Ångström", "ÀÉÎÕÜ", "ñandú", "Đường phố Hà Nội",
    "Žluťoučký kůň", "ǆ ǅ Ǆ", "Ἀθῆναι", "Москва Ёлка ЙОД", "שָׁלוֹם", "مَرْحَبًا", "हिन्दी", "한국어 텍스트",
    "がぎぐ パピプ", "日本語のテキスト。句読点、など！", "一种“方法”，包括：步骤。", "中文（括号）和《书名》",
    "全角　空格", "no\u00a0break", "thin\u2009space", "line\u2028separator", "em—dash", "a…b", "«quoted»",
    "\u201cclosing”", "it’s", "semi;colon", "back\\slash", "a|b", "{x}", "[y]", "<z>", "~tilde~",
    "under_score", "a+b=c", "a*b^c", "`code`", "a\x00b", "bell\x07", "del\x7fete", "c1\x85next",
    "straße STRASSE", "İstanbul", "ẞ", "ﬁ ligature", "Ω Ω K Å", "e\u0323\u0302", "\u0344", "𝐀 𝒜", "😀x"[1:],
    "supercalifragilisticexpialidocious internationalisation", "a" * 100, "ab1" * 40, "9" * 70,
    "x" * 63 + " y", "x" * 64 + " y", "x" * 65 + " y", "x" * 63 + "1.5" + "y" * 10, "é" * 40, " " * 130 + "z",
]


def ours(args, lines):
    out = subprocess.run([os.path.join(args.bin, "dedup-bench"), "normalise"], check=True,
                         input="".join(json.dumps(t) + "\n" for t in lines).encode(), stdout=subprocess.PIPE)
    return [json.loads(t) for t in out.stdout.decode().splitlines()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--write", action="store_true")
    p.add_argument("--bin", default=os.path.join(os.path.dirname(__file__), "../../build/bin"))
    p.add_argument("files", nargs="*")
    args = p.parse_args()
    if args.files:
        lines = []
        for f in args.files:
            with open(f, encoding="utf-8", errors="ignore") as text:
                lines += [t for t in text.read().split("\n") if t.strip()]
        pairs = [(t, a, simplify_text(t)) for t, a in zip(lines, ours(args, lines))]
        other = [p for p in pairs if p[1] != p[2]]
        print(f"{len(lines):,} lines, {len(other):,} differ, {1 - len(other) / len(lines):.4%} equal")
        for text, a, b in other[:10]:
            print(f"{text!r}\n  ours       {a!r}\n  datatrove  {b!r}")
        return 0
    rows = [{"datatrove": importlib.metadata.version("datatrove")}]
    rows += [{"text": t, "normal": simplify_text(t)} for t in TEXTS]
    content = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    if args.write:
        with open(EXPECTED, "w", encoding="utf-8") as f:
            f.write(content)
    with open(EXPECTED, encoding="utf-8") as f:
        if f.read() != content:
            print(f"FAILED: {EXPECTED} is not what this datatrove makes; see --write", file=sys.stderr)
            return 1
    bad = [(t, a, simplify_text(t)) for t, a in zip(TEXTS, ours(args, TEXTS)) if a != simplify_text(t)]
    for text, a, b in bad:
        print(f"FAILED: {text!r}: ours {a!r}, datatrove's {b!r}", file=sys.stderr)
    print(f"{len(TEXTS)} texts, {len(bad)} differ")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
