#!/usr/bin/env python3
"""tokenizer_tables.py [--check]: writes runtime/tokenizer/Tables.inc, or compares it with the `tokenizers` installed.

The package takes its classes of characters from libraries of different Unicode versions: the regular expressions from
one, punctuation from another, lower case from a third. So each class is asked of the package itself, character by
character. Needs `pip install tokenizers`.
"""
import os
import sys

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "runtime", "tokenizer", "Tables.inc")
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
BLOCKS = [POINTS[i:i + 4096] for i in range(0, len(POINTS), 4096)]


def matched(pattern):
    """What a class of regular expressions holds."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    out = set()
    for block in BLOCKS:
        text = "".join(map(chr, block))
        for _, (begin, end) in split.pre_tokenize_str(text):
            out.update(map(ord, text[begin:end]))
    return out


def isolated(pre):
    """The characters that `pre` cuts out of a run of letters."""
    out = set()
    for block in BLOCKS:
        for piece, (begin, end) in pre.pre_tokenize_str("".join("aa" + chr(c) + "aa" for c in block)):
            if end - begin == 1:
                out.add(ord(piece))
    return out


def words():
    """What `Whitespace` takes for a part of a word: it stays with the letter before it."""
    out = set()
    for block in BLOCKS:
        for _, (begin, end) in pre_tokenizers.Whitespace().pre_tokenize_str(" ".join("a" + chr(c) for c in block)):
            if end - begin == 2:
                out.add(block[begin // 3])
    return out


def removed(**options):
    """What BERT's normalizer takes out with one option on."""
    all_options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return gone(normalizers.BertNormalizer(**{**all_options, **options}))


def gone(normalizer):
    return {c for c in POINTS if normalizer.normalize_str("a" + chr(c) + "a") == "aa"}


# The bits of Chars.h, in its order.
CLASSES = [
    ("upper", lambda: matched(r"\p{Lu}") | matched(r"\p{Lt}")),
    ("lower", lambda: matched(r"\p{Ll}")),
    ("caseless", lambda: matched(r"\p{Lm}") | matched(r"\p{Lo}")),
    ("number", lambda: matched(r"\p{N}")),
    ("mark", lambda: matched(r"\p{M}")),
    ("punctuation", lambda: matched(r"\p{P}")),
    ("symbol", lambda: matched(r"\p{S}")),
    ("space", lambda: matched(r"\s")),
    ("word", words),
    ("bertPunctuation", lambda: isolated(pre_tokenizers.Punctuation())),
    ("bertControl", lambda: removed(clean_text=True)),
    ("bertAccent", lambda: removed(strip_accents=True)),
    ("accent", lambda: gone(normalizers.StripAccents())),
    ("digit", lambda: isolated(pre_tokenizers.Digits(individual_digits=True))),
]


def runs_of_lower():
    """(first, last, step, difference) of the characters whose lower case is one other character."""
    lower = normalizers.Lowercase()
    pairs, longer = [], {}
    for c in POINTS:
        low = lower.normalize_str(chr(c))
        if len(low) > 1:
            longer[c] = low
        elif low != chr(c):
            pairs.append((c, ord(low) - c))
    assert longer == {0x130: "i\u0307"}, longer  # stands in Chars.cpp
    runs = []
    for c, difference in pairs:
        if runs and runs[-1][3] == difference:
            first, last, step, _ = runs[-1]
            if c - last <= 2 and (step == c - last or first == last):
                runs[-1] = (first, c, c - last, difference)
                continue
        runs.append((c, c, 1, difference))
    return runs


def table():
    flags = [0] * 0x110000
    for bit, (_, members) in enumerate(CLASSES):
        for c in members():
            flags[c] |= 1 << bit
    assert all(bool(flags[c] & 1 << 7) == chr(c).isspace() for c in POINTS if not 0x1C <= c <= 0x1F)
    out = ["// Written by test/bench/tokenizer_tables.py from `tokenizers` %s." % tokenizers.__version__,
           "// Where a run of characters of the same classes begins, and the classes.",
           "constexpr uint32_t classRuns[] = {"]
    out += rows("%#x,%#x" % (c, flags[c]) for c in range(0x110000) if c == 0 or flags[c] != flags[c - 1])
    out += ["};", "constexpr LowerRun lowerRuns[] = {"]
    out += rows("{%#x,%#x,%d,%d}" % run for run in runs_of_lower())
    out += ["};"]
    return "\n".join(out) + "\n"


def rows(items):
    out = [""]
    for item in items:
        if len(out[-1]) + len(item) > 110:
            out.append("")
        out[-1] += item + ","
    return out


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    text = table()
    if sys.argv[1:]:
        with open(PATH) as f:
            old = f.read()
        if old.split("\n", 1)[1] != text.split("\n", 1)[1]:
            sys.exit("tokenizers %s has other classes than Tables.inc (%s)" %
                     (tokenizers.__version__, old.split("\n", 1)[0]))
        print("Tables.inc has the classes of tokenizers " + tokenizers.__version__)
        return
    with open(PATH, "w") as f:
        f.write(text)


if __name__ == "__main__":
    main()
