#!/usr/bin/env python3
"""data_rules.py [--write | --check] [--seconds S] [--bin DIR]: the rules of cleaning against datatrove.

Without a flag: the share of equal verdicts on real text (licences, fortunes, manual pages, AG News where it
is at hand), then the table of speeds: MB in a second of one thread's CPU time for the four published rules, for each further rule
and for all of them; and the ratio to datatrove's filters in the same run, the two taking turns on the same texts.
Exit 1 below 40 MB/s (all rules) or 20 times datatrove, or if a verdict differs on more than 1 in 1000 texts.

--write makes texts at the edges of every rule, and writes what datatrove says of them to edges.jsonl in
test/runtime_text/expected, and the words it finds in pieces of all kinds of characters to words.jsonl; the plain tests
read both. --check compares the two files with the datatrove that is installed. Needs `pip install datatrove spacy` and text-bench, built.
"""
import argparse
import csv
import glob
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "..", "runtime_text", "expected")
EDGES = os.path.join(EXPECTED, "edges.jsonl")
WORDS = os.path.join(EXPECTED, "words.jsonl")
RULES = json.load(open(os.path.join(EXPECTED, "rules.json")))
PUBLISHED = ["gopher_repetition", "gopher_quality", "c4", "fineweb"]


# ── datatrove ────────────────────────────────────────────────────────────────

NAMES = {  # our parameters by datatrove's names
    "gopher_quality": {
        "min_words": "min_doc_words", "max_words": "max_doc_words", "min_word_length": "min_avg_word_length",
        "max_word_length": "max_avg_word_length", "max_symbols": "max_symbol_word_ratio",
        "max_bullet_lines": "max_bullet_lines_ratio", "max_ellipsis_lines": "max_ellipsis_lines_ratio",
        "min_alpha_words": "max_non_alpha_words_ratio", "min_stop_words": "min_stop_words",
        "stop_words": "stop_words"},
    "gopher_repetition": {
        "max_lines": "dup_line_frac", "max_paragraphs": "dup_para_frac", "max_line_chars": "dup_line_char_frac",
        "max_paragraph_chars": "dup_para_char_frac"},
    "c4": {
        "min_sentences": "min_num_sentences", "min_words_per_line": "min_words_per_line",
        "max_word_length": "max_word_length", "citations": "remove_citations",
        "terminal_punctuation": "filter_no_terminal_punct", "javascript": "filter_javascript",
        "policy": "filter_policy", "lorem_ipsum": "filter_lorem_ipsum", "curly_bracket": "filter_curly_bracket"},
    "fineweb": {
        "min_punctuated_lines": "line_punct_thr", "allow_none_punctuated": "line_punct_exclude_zero",
        "max_short_lines": "short_line_thr", "short_line": "short_line_length",
        "max_repeated_line_chars": "char_duplicates_ratio", "max_line_feeds_per_word": "new_line_ratio",
        "ends": "stop_chars"},
}


def theirs(rule, params):
    """datatrove's filter with its own defaults but for `params`, which have our names."""
    from datatrove.pipeline.filters import (C4QualityFilter, FineWebQualityFilter, GopherQualityFilter,
                                            GopherRepetitionFilter)
    kind = {"gopher_quality": GopherQualityFilter, "gopher_repetition": GopherRepetitionFilter,
            "c4": C4QualityFilter, "fineweb": FineWebQualityFilter}[rule]
    given = {NAMES[rule][k]: v for k, v in params.items()}
    if "stop_chars" in given:
        given["stop_chars"] = tuple(given["stop_chars"])
    return kind(**given)


def judge(filters, text):
    """(keep, reason, text) of a chain of datatrove's filters."""
    from datatrove.data import Document
    doc = Document(text=text, id="0")
    for f in filters:
        result = f.filter(doc)
        if isinstance(result, tuple):
            return False, result[1], doc.text
    return True, "", doc.text


def versions():
    from importlib.metadata import version
    return {"datatrove": version("datatrove"), "spacy": version("spacy")}


# ── texts at the edges ───────────────────────────────────────────────────────

def filler(n, seed=0, length=None):
    """n different words."""
    draw = random.Random(seed)
    out, seen = [], {"the", "of"}
    while len(out) < n:
        size = length or draw.randint(3, 8)
        word = "".join(draw.choice("bcdfghjklmnprstvwz"[i % 2::2] if i % 2 == 0 else "aeiou") for i in range(size))
        if word not in seen or length and length < 4:
            seen.add(word)
            out.append(word)
    return out


def prose(n, seed=0):
    """n words, some of them stop words, in sentences of ten."""
    words = filler(n, seed)
    for i in range(0, n, 5):
        words[i] = ["the", "of", "and", "to"][i // 5 % 4]
    return " ".join(w + "." if i % 10 == 9 else w for i, w in enumerate(words))


def flips(make, rule, params, ks):
    """The texts make(k) around each place where datatrove's verdict changes."""
    texts, last = {}, None
    f = [theirs(rule, params)]
    for k in ks:
        text = make(k)
        verdict = judge(f, text)[:2]
        if last is not None and verdict != last[1]:
            for j in (last[0] - 1, last[0], k, k + 1):
                if j >= min(ks):
                    texts[j] = make(j)
        last = (k, verdict)
    assert texts, f"no verdict changes: {rule} {params} {last}"
    return [texts[j] for j in sorted(texts)]


def edges():
    """(rule, parameters that are not the defaults, text)."""
    def q(text, **params):
        return [("gopher_quality", params, text)]

    def at(rule, make, ks, **params):
        return [(rule, params, t) for t in flips(make, rule, params, ks)]

    W = filler(120, 7)
    body = " ".join(["the", "of"] + W[:58])
    out = []

    # Gopher's quality
    g = "gopher_quality"
    out += at(g, lambda k: " ".join(["the", "of"] + W[:k - 2]), range(47, 54))
    out += at(g, lambda k: ", ".join(["the", "of"] + W[:k - 2]) + " !!! ... -- ()", range(47, 54))
    out += at(g, lambda k: " ".join(["the", "of"] + W[:k - 2]), range(57, 64), max_words=60)
    three = ["the"] * 2 + ["and"] * 2 + filler(56, 3, 3)
    out += at(g, lambda k: " ".join(three[:-k] + ["of"] * k), range(1, 5), min_word_length=2.96)
    out += at(g, lambda k: " ".join(three[:-1 - k] + ["abcd"] + ["be"] * k), range(0, 5))
    ten = ["the", "of"] + filler(2, 4, 10) * 28 + ["x" * 17, "y" * 18]
    out += at(g, lambda k: " ".join(ten[:-1] + ["y" * k]), range(10, 40))
    out += at(g, lambda k: body + " #" * k, range(3, 10))
    out += at(g, lambda k: " ".join(w + ("..." if i < k else "") for i, w in enumerate(body.split())), range(3, 12))
    out += at(g, lambda k: body + " …" * k, range(3, 10))
    lines = [" ".join(W[i:i + 6]) + " the of" for i in range(0, 60, 6)] + ["be and to"] * 10

    def marked(k, mark, where):
        return "\n".join((mark + l if where == "start" else l + mark) if i < k else l for i, l in enumerate(lines))
    for mark in ("- ", "  •", "\t- "):
        out += at(g, lambda k: marked(k, mark, "start"), range(15, 21))
    for mark in ("...", " …", "...  "):
        out += at(g, lambda k: marked(k, mark, "end"), range(3, 9), max_symbols=0.5)
    for end in ("\r\n", "\x0b", "\u2028", "\x85", "\r"):
        out += q(marked(19, "-", "start").replace("\n", end))
    out += at(g, lambda k: body + " 1234" * k, range(10, 20))
    out += at(g, lambda k: body + " ab12" * 20 + " 12:30" * k, range(10, 26))
    out += at(g, lambda k: " ".join(W[:60] + ["the", "of", "and"][:k]), range(0, 4))
    out += at(g, lambda k: " ".join(W[:60] + ["The", "with", "with", "be"][:k]), range(0, 5))
    out += at(g, lambda k: " ".join(W[:60] + ["ab", "cd", "ef"][:k]), range(0, 4), stop_words=["ab", "cd", "ef"],
              min_stop_words=3)
    out += q("") + q(" \n ") + q("can't " * 24 + "the of be") + q("it's we'll " * 12 + "the and") + \
        q("http://a.example.org/x?y=1 " * 45 + "the of and be to") + q("..." * 60) + q("# " * 60)
    out += q("naïve café Ünïcode ὀδός слово " * 12 + "the of") + q("👍🏽 the of " * 30) + q("\x00\x01 the of a " * 30)

    # Gopher's repetition
    r = "gopher_repetition"

    def rep(text, **params):
        return [(r, params, text)]
    paragraphs = [prose(12, i) for i in range(40)]
    out += rep("") + rep(" ") + rep("\n") + rep("a") + rep("a b") + rep("a\n\na") + rep("\na\n") + rep("a\nb\na")
    out += at(r, lambda k: "\n\n".join(paragraphs[:14] + ["of it"] * k), range(2, 12))
    out += at(r, lambda k: "\n\n\n".join(paragraphs[:20] + [paragraphs[0]] * k), range(1, 9))
    out += at(r, lambda k: "\n".join(paragraphs[:14] + ["of it"] * k), range(2, 12))
    out += at(r, lambda k: "\n" + "\n".join(paragraphs[:20] + [paragraphs[1]] * k) + "\n\n", range(1, 9))
    off = dict(max_lines=None, max_paragraphs=None, max_line_chars=None, max_paragraph_chars=None)
    for n in (2, 3, 4):
        gram = " ".join(["quick", "brown", "foxes", "jumping"][:n])
        out += at(r, lambda k: " ".join(gram + " " + w for w in W[:12]) + " " + prose(k, 5), range(20, 240))
        out += at(r, lambda k: "\u00e9t\u00e9 " + " ".join(gram + " " + w for w in W[:9]) + " " + prose(k, 6),
                  range(20, 240))
    for n in range(5, 11):
        gram = " ".join(filler(n, n + 100))
        out += at(r, lambda k: gram + " " + W[0] + " " + gram + " " + prose(k, n), range(5, 160))
        out += at(r, lambda k: " ".join([gram, W[0], gram, W[1], gram]) + " " + prose(k, n), range(5, 260))
    out += rep(" ".join(["ab"] * 60)) + rep("ab cd " * 30, **off) + rep("ab cd ef gh ij kl " * 20, **off)
    out += rep("1 2 3 4 5 6 7 8 9 10 11 " * 3 + prose(120, 1), **off)

    # C4
    c = "c4"

    def c4(text, **params):
        return [(c, params, text)]
    good = ["The first line ends well.", "Is the second one a question?", "The third is loud!",
            "\"This one is quoted.\"", "'So is this one.'"]
    text = "\n".join(good)
    out += at(c, lambda k: "\n".join(good[:k]), range(1, 6))
    out += at(c, lambda k: " ".join(["One sentence here."] * k), range(1, 7))
    out += at(c, lambda k: " ".join(["One here?!"] * k) + " \"Yes.\"", range(1, 7))
    out += at(c, lambda k: "Mr. Smith went to the U.S. on Jan. 5. " * k, range(1, 7))
    out += at(c, lambda k: "\n".join(good[:4] + [" ".join(["word"] * k) + "."]), range(1, 5))
    out += at(c, lambda k: "\n".join(good[:4] + ["a b " + "x" * k + "."]), range(997, 1003))
    for end in (".", "?", "!", '"', "'", "...", "....", "…", "”", "。", ":", ";", ")", " .", ". ", ".\t", "?...", ""):
        out += c4("\n".join(good[:4] + ["The fifth line of it" + end]))
    for words in ("javascript", "JavaScript", "Lorem ipsum", "LOREM IPSUM", "lorem  ipsum", "privacy policy",
                  "Privacy Policy", "terms of use", "cookie policy", "uses cookies", "use of cookies", "use cookies",
                  "cookies", "a { b", "a } b"):
        out += c4(text + "\nThis line has " + words + " in it.") + c4(text + "\nCut: " + words) + \
            c4("\n".join(good[:4] + ["This line has " + words + " in it."]))
    for cite in ("[1]", "[]", "[edit]", "[citation needed]", "[12a]", "[ 1]", "[[3]]", "[Edit]", "[٣]", "[1"):
        out += c4(text + "\nThis line" + cite + " has a note." + cite) + c4(text + "\nAnd a note here. " + cite) + \
            c4(text + f"\n{cite}Before it all.")
    out += c4("  " + text.replace("\n", "  \n\n\t")) + c4(text.replace("\n", "\r\n")) + c4(text.replace("\n", "\u2028"))
    out += c4("\n\n" + text + "\n\n") + c4("") + c4("\n") + c4(text + "\nNo end here", terminal_punctuation=False)
    out += c4(text + "\nSee it [1] here { now }.", citations=False, curly_bracket=False)
    out += c4(text + "\nTwo words.\nOne.\n", min_words_per_line=1) + c4("One line only.", min_sentences=1)
    out += c4(text + "\nuse cookies and javascript, lorem ipsum.", javascript=False, policy=False, lorem_ipsum=False)

    # FineWeb
    f = "fineweb"

    def fw(text, **params):
        return [(f, params, text)]
    long = [" ".join(filler(6, i, 6)) for i in range(60)]  # 41 characters
    out += at(f, lambda k: "\n".join(l + ("." if i < k else "") for i, l in enumerate(long[:25])), range(1, 6))
    for end in "!?。؟।…:;”'":
        out += fw("\n".join(l + end for l in long[:10]))
    out += at(f, lambda k: "\n".join(l + "." if i >= k else "ab cd ef gh." + str(i) + "."
                                     for i, l in enumerate(long[:50])), range(30, 38), max_line_feeds_per_word=1.0)
    out += at(f, lambda k: "\n".join(["x" * (k - 1) + "."] + ["y" * (k - 1) + "?", "z" * (k - 1) + "!", long[0] + "."]), range(28, 34),
              max_line_feeds_per_word=1.0)
    out += at(f, lambda k: "\n".join(["é" * (k - 1) + "."] + ["ü" * (k - 1) + "?", "a" * (k - 1) + "!", long[0] + "."]), range(28, 34),
              max_line_feeds_per_word=1.0)
    out += at(f, lambda k: "\n".join([l + "." for l in long] + ["z" * k + " and more than thirty characters."] * 2),
              range(1, 30), max_repeated_line_chars=0.02)
    out += at(f, lambda k: "\n".join([l + "." for l in long[:50]] + ["Twelve here."] * k), range(1, 7))
    out += at(f, lambda k: "\n".join(l + "." for l in long[:10]) + "\n" * k, range(1, 40))
    out += at(f, lambda k: "\n".join((w * 12 + ".") for w in W[:20]) + " " + "in " * k, range(0, 40))
    out += fw("") + fw("\n \n\t\n") + fw("a") + fw("one line.") + fw("\n".join(l + ".\r" for l in long[:9]))
    out += fw("\n".join(long[:9]), allow_none_punctuated=True) + fw("\n".join(l + ":" for l in long[:9]), ends=":;")
    return out


def pieces():
    """Pieces without white space: the exceptions of spaCy's tokenizer, and characters of all its classes in
    any order. No Han or kana, which are cut here only."""
    import spacy
    draw = random.Random(11)
    known = [k for k in spacy.blank("en").tokenizer.rules if not re.search(r"\s|\u30c4", k)]
    atoms = list("abzABZ019.,:;!?()[]{}<>_#*&'\"`-–—~/=+^%$€°|@\\") + [
        "…", "……", "..", "...", "'s", "’s", "n't", "km", "kg", "US$", "C$", "é", "ß", "Ж", "ж", "ע", "ا", "한", "😀", "☃",
        "©", "₽", "www", "http://", ".com", "org", "192.168.1.1", "10.0.0.1", "8.8.8.8", "C++", "‘", "“", "”", "½", "²"]
    out = draw.sample(known, 400)
    for _ in range(1600):
        out.append("".join(draw.choice(atoms) for _ in range(draw.randint(2, 7))))
    for _ in range(500):
        parts = [draw.choice(known) for _ in range(draw.randint(1, 2))] + [draw.choice(atoms) for _ in range(2)]
        draw.shuffle(parts)
        out.append("".join(parts))
    return out


def with_words(texts):
    from datatrove.utils.text import split_into_words
    for text in texts:
        yield {"text": text, "words": split_into_words(text)}


def write(path, records):
    with open(path, "w") as out:
        for record in [versions(), *records]:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def read(path):
    return [json.loads(line) for line in open(path)][1:]


def with_verdicts(cases):
    """datatrove divides by zero on a few texts without words or lines, if earlier checks are off; those are no
    verdicts."""
    for rule, params, text in cases:
        try:
            keep, reason, after = judge([theirs(rule, params)], text)
        except ZeroDivisionError:
            continue
        yield {"rule": rule, "params": params, "text": text, "keep": keep, "reason": reason,
               **({"after": after} if keep and after != text else {})}


# ── real text ────────────────────────────────────────────────────────────────

def real_texts():
    """{name: texts} of what this machine has."""
    out = {"licences": [], "fortunes": [], "manual": [], "news": []}
    for path in sorted(glob.glob("/usr/share/common-licenses/*")):
        if not os.path.islink(path):
            text = open(path, errors="replace").read()
            out["licences"] += [text] + [p for p in re.split(r"\n\s*\n", text) if len(p) > 200]
    for path in sorted(glob.glob("/usr/share/games/fortunes/*")):
        if not path.endswith((".dat", ".u8")) and not os.path.islink(path):
            out["fortunes"] += [t for t in open(path, errors="replace").read().split("\n%\n") if len(t) > 200]
    pages = sorted(glob.glob("/usr/share/man/man[1578]/*.gz"))
    random.Random(1).shuffle(pages)
    for path in pages[:1200]:
        if not os.path.islink(path):
            text = gzip.open(path).read().decode("utf8", "replace")
            text = "\n".join(l for l in text.split("\n") if not l.startswith((".", "'")))
            if len(text) > 200:
                out["manual"].append(text)
    news = os.path.join(HERE, "..", "..", "..", "shared", "data", "ag_news", "test.csv")
    if os.path.exists(news):
        rows = [" ".join(row[1:]) for row in csv.reader(open(news))]
        out["news"] = ["\n".join(rows[i:i + 3]) for i in range(0, len(rows), 3)]
    return {name: texts for name, texts in out.items() if texts}


class Ours:
    def __init__(self, bin_dir):
        self.tool = os.path.join(bin_dir, "text-bench")
        self.dir = tempfile.TemporaryDirectory()

    def file(self, name, content):
        path = os.path.join(self.dir.name, name)
        with open(path, "w") as out:
            out.write(content)
        return path

    def texts(self, texts):
        return self.file("texts", "".join(json.dumps(t) + "\n" for t in texts))

    def run(self, *words):
        out = subprocess.run([self.tool, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    def apply(self, rules, texts):
        return self.run("apply", self.file("rules", json.dumps(rules)), self.texts(texts))

    def rate(self, rules, path, seconds):
        """MB/s."""
        got = self.run("speed", self.file("rules", json.dumps(rules)), path, seconds)[0]
        return got["bytes"] / got["seconds"] / 1e6


def agreement(ours):
    """Prints the share of equal verdicts; True if it is at least 999 in 1000 for each rule and source."""
    good = True
    print("texts with equal verdicts and reasons (and texts, after c4)")
    for name, texts in real_texts().items():
        cells = []
        for rule in PUBLISHED:
            f = [theirs(rule, {})]
            equal = kept = 0
            for text, mine in zip(texts, ours.apply([RULES[rule]], texts)):
                keep, reason, after = judge(f, text)
                kept += keep
                same = keep == (mine["kind"] != "drop") and (keep and after == mine["text"] or
                                                              not keep and reason == mine["reason"])
                equal += same
            cells.append(f"{rule} {equal}/{len(texts)} (kept {kept})")
            good = good and equal >= 0.999 * len(texts)
        print(f"  {name:9}", "  ".join(cells), flush=True)
    return good


def their_rate(filters, texts, seconds):
    begin, done = time.process_time(), 0
    while True:
        for text in texts:
            judge(filters, text)
            done += len(text.encode())
            if time.process_time() - begin > seconds:
                return done / (time.process_time() - begin) / 1e6


def speeds(ours, seconds):
    texts = [t for part in real_texts().values() for t in part]
    random.Random(2).shuffle(texts)
    size = sum(len(t.encode()) for t in texts)
    print(f"\nMB/s of CPU time, one thread, {len(texts)} texts, {size / 1e6:.1f} MB, mean {size // len(texts)} bytes")
    path = ours.texts(texts)
    published = [RULES[r] for r in PUBLISHED]
    # A text must pass all rules to meet the last: thresholds of the timed rules drop nothing further.
    words = ours.file("words", "\n".join(filler(20000, 9)))
    lexicon = ours.file("lexicon", "\n".join(sorted({w.lower() for t in texts for w in re.findall("[A-Za-z]+", t)})))
    patterns = [dict(RULES["pattern"], name=n) for n in ("url", "email", "phone", "chinese_id", "ipv4", "ipv6")]
    further = {
        "normalise": [RULES["normalise"]],
        "6 patterns, masked": patterns,
        "blacklist of 20,000": [dict(RULES["blacklist"], file=words, action="mask")],
        "noise": [dict(RULES["noise"], lexicon=lexicon, max_unknown=1.0, max_compression=100.0)],
        "language": [dict(RULES["language"], codes=["en"], at_least=0.0)],
    }
    print(f"  {'':24}{'r1c':>8}{'datatrove':>11}{'ratio':>8}")
    rates = []
    for _ in range(3):  # taking turns
        rates.append((ours.rate(published, path, seconds / 3),
                      their_rate([theirs(r, {}) for r in PUBLISHED], texts, seconds / 3)))
    rate, their = sorted(rates)[1]
    print(f"  {'the four published':24}{rate:8.1f}{their:11.3f}{rate / their:8.0f}")
    for rule in PUBLISHED:
        a, b = ours.rate([RULES[rule]], path, seconds / 3), their_rate([theirs(rule, {})], texts, seconds / 3)
        print(f"  {rule:24}{a:8.1f}{b:11.3f}{a / b:8.0f}")
    for name, rules in further.items():
        print(f"  {name:24}{ours.rate(rules, path, seconds / 3):8.1f}")
    everything = further["normalise"] + published + [r for n, l in further.items() if n != "normalise" for r in l]
    every = ours.rate(everything, path, seconds)
    print(f"  {'all of these in a row':24}{every:8.1f}")
    return every >= 40 and rate / their >= 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--bin", default=os.path.join(HERE, "..", "..", "build", "bin"))
    args = parser.parse_args()
    if args.write:
        verdicts = list(with_verdicts(edges()))
        write(EDGES, verdicts)
        write(WORDS, with_words(pieces()))
        print(f"{len(verdicts)} texts, {len({v['reason'] for v in verdicts})} reasons")
        return 0
    if args.check:
        kept, words = read(EDGES), read(WORDS)
        now = list(with_verdicts((v["rule"], v["params"], v["text"]) for v in kept)) + \
            list(with_words(w["text"] for w in words))
        wrong = [(a, b) for a, b in zip(kept + words, now) if a != b]
        for a, b in wrong:
            print(f"here {json.dumps(a)}\nnow  {json.dumps(b)}")
        print(f"{len(kept)} verdicts, {len(words)} pieces, {len(wrong)} other now; {versions()}")
        return len(wrong) > 0 or len(now) != len(kept) + len(words)
    ours = Ours(args.bin)
    good = agreement(ours)
    return not (speeds(ours, args.seconds) and good)


if __name__ == "__main__":
    sys.exit(main())
