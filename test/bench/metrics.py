#!/usr/bin/env python3
"""metrics.py [--write | --check TESTS] [--cases N] [--seed S]: the metrics against the packages that define them.

--write makes random cases and writes what sacrebleu, rouge-score, pycocoevalcap, scikit-learn, seqeval, nltk and
scipy say of them to test/runtime_metrics/Inputs; the plain test reads these files. --check makes other cases, of a
seed drawn anew (and printed), in a folder of their own, and has TESTS (build/bin/test_runtime_metrics) judge them.
Exit 77 where a package is missing: `pip install sacrebleu rouge-score pycocoevalcap scikit-learn seqeval nltk`.
"""
import argparse
import json
import math
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import warnings
from fractions import Fraction

try:
    import numpy
    from nltk.stem.porter import PorterStemmer
    from pycocoevalcap.cider.cider_scorer import CiderScorer
    from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU, CHRF
    from scipy.stats import binomtest
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2
    from sklearn import metrics as sk
except ImportError as e:
    print(f"not compared: {e}; pip install sacrebleu rouge-score pycocoevalcap scikit-learn seqeval nltk")
    sys.exit(77)

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runtime_metrics", "Inputs")

WORDS = """the a of and to in is cat sat on mat dog dogs running quickly rationally national conditional skies dying
news innings happily enjoyed enjoyment generalizations oscillators hopping falling filing agreed feed plastered
motoring troubled sized relational digitizer radically vileness analogously feudalism formative triplicate electrical
replacement adoption communism homologous bowdlerize probate rate cease controlling rolling technologically
fully psychology It He She John's don't can't won't state-of-the-art well-known e.g. i.e. U.S. 1,000.5 3.14 2024 7.
1,234,567 10-20 50% $5.00 #1 a/b x=y C++ foo_bar user@example.com http://a.b/c?d=e&f &quot;hi&quot; &amp;lt; &lt;b&gt;
<skipped> Hello HELLO World! What? (really) [sic] {x} "quoted" 'single' … — – « » “ ” ‘ ’ ¿ ¡ naïve café Straße ÉCOLE
ΟΔΟΣ ΟΔΟΣ. Σ İstanbul ISTANBUL K Å ﬁn ½ ² Ⅻ ٣,٤ ١٢٣ Привет, мир! мир-труд नमस्ते। हिन्दी สวัสดี 한국어 日本語。 カタカナ ﾊﾝｶｸ
€5 £3 ¥ © ™ ∑ ≤ ↑ 😀 👍🏽 e\u0301 a\u0308 𝒳 𠀀 － ～ ‰ † ‡ • ·""".split()
CHINESE = "我 们 的 模型 在 今天 。 ， 、 ！ ？ “ ” 《 》 中国 北京 2024年 ＡＢＣ １２３ GPT 学习 机器 翻译 〇 㐀 豈 ⼀ ㊣ 1.5 3,000 ( ) ： ； hello".split()
SPACES = [" "] * 30 + ["  ", "\t", "\n", "\u00a0", "\u3000", "-\n", "\x1c", "\u2028", "\u200b", "\r\n"]


def text(r, chinese=False):
    n = r.choice([0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12])
    pool = CHINESE if chinese else WORDS[:60] if r.random() < 0.5 else WORDS
    out = "".join(r.choice(pool) + ("" if chinese and r.random() < 0.8 else r.choice(SPACES)) for _ in range(n))
    if r.random() < 0.5:
        out = out.strip()
    if r.random() < 0.3 and out:
        out += r.choice([".", "!", " .", "?\n", "。", ",", "...", "-", "\u2009"])
    return out


def near(r, t):
    """Another text that shares parts with t."""
    parts = re.split(r"( )", t) if " " in t else list(t)
    out = []
    for p in parts:
        x = r.random()
        if x < 0.12:
            continue
        out.append(r.choice(WORDS) if x < 0.2 else p.swapcase() if x < 0.24 else p)
        if x > 0.96:
            out.append(p)
    if r.random() < 0.15:
        r.shuffle(out)
    return "".join(out)


def corpus(r):
    chinese = r.random() < 0.2
    many = r.choice([1, 1, 2, 3])
    varying = r.random() < 0.2
    hypotheses, references = [], []
    for _ in range(r.choice([1, 1, 2, 3])):
        t = text(r, chinese)
        hypotheses.append(t if r.random() < 0.1 else near(r, t) if r.random() < 0.9 else text(r, chinese))
        refs = [t] + [near(r, t) for _ in range((r.randint(1, 3) if varying else many) - 1)]
        r.shuffle(refs)
        references.append(refs)
    return hypotheses, references


def short(v):
    """A number as JSON that is within 5e-11 of it."""
    v = float(f"{float(v):.11g}")
    return int(v) if v == int(v) else v


def columns(references):
    """As sacrebleu wants them: by reference, with None where a document has fewer."""
    return [[r[i] if i < len(r) else None for r in references] for i in range(max(map(len, references)))]


def signature(metric):
    return str(metric.get_signature()).rsplit("|version:", 1)[0]


def flexible(r, **choices):
    """Some of the options, each with one of its values."""
    return {k: r.choice(v) for k, v in choices.items() if r.random() < 0.4}


def answer(t, o):
    """What exact_match compares: SQuAD's steps in its order, and numbers before them."""
    if o.get("lowercase"):
        t = t.lower()
    if o.get("numbers"):
        t = re.sub(r"[0-9](?:[0-9]|,(?=[0-9]))*(?:\.[0-9]*)?",
                   lambda m: re.sub(r"\.0*$|(\.[0-9]*?)0+$", r"\1", m[0].replace(",", "")), t)
    if o.get("punctuation"):
        t = "".join(c for c in t if c not in string.punctuation)
    if o.get("articles"):
        t = re.sub(r"(?<![^\W])(a|an|the)(?![^\W])", " ", t) if t.isascii() else t
    if o.get("whitespace", True):
        t = " ".join(t.split())
    return t


def text_case(r, number):
    hypotheses, references = corpus(r)
    case = {"h": hypotheses, "r": references, "m": []}

    def add(kind, options, value, sig=None):
        case["m"].append([kind, options, short(value)] + ([sig] if sig and number % 4 == 0 else []))

    for tokenizer in r.sample(["13a", "13a", "intl", "zh", "char", "none"], 2):
        o = flexible(r, smooth=["exp", "floor", "add-k", "none"], order=[1, 2, 3, 5, 6], lowercase=[True],
                     effective_order=[True])
        if o.get("smooth") in ("floor", "add-k") and r.random() < 0.5:
            o["smooth_value"] = r.choice([0.01, 0.5, 2.0])
        b = BLEU(tokenize=tokenizer, smooth_method=o.get("smooth", "exp"), smooth_value=o.get("smooth_value"),
                 max_ngram_order=o.get("order", 4), lowercase=o.get("lowercase", False), force=True,
                 effective_order=o.get("effective_order", False))
        value = b.corpus_score(hypotheses, columns(references)).score
        add("bleu", dict(o, tokenizer=tokenizer), value,
            signature(b) + (f"|order:{o['order']}" if "order" in o else ""))
    for words in (0, 2):
        o = flexible(r, characters=[1, 3, 8], beta=[1, 3], lowercase=[True], whitespace=[True], smooth=[True])
        c = CHRF(char_order=o.get("characters", 6), word_order=words, beta=o.get("beta", 2),
                 lowercase=o.get("lowercase", False), whitespace=o.get("whitespace", False),
                 eps_smoothing=o.get("smooth", False))
        add("chrf", dict(o, words=words), c.corpus_score(hypotheses, columns(references)).score, signature(c))
    for kind in ("1", "2", r.choice("34"), "L", "Lsum"):
        stem = r.random() < 0.5
        scorer = RougeScorer(["rouge" + kind], use_stemmer=stem)
        scores = [scorer.score_multi(refs, h)["rouge" + kind] for h, refs in zip(hypotheses, references)]
        mean = [short(numpy.mean([s[i] for s in scores])) for i in range(3)]
        case["m"].append(["rouge", {"type": kind, "stemmer": stem}, mean])
    coco = CocoRouge()
    add("rouge_coco", {}, numpy.mean([coco.calc_score([h], refs) for h, refs in zip(hypotheses, references)]))
    cider = CiderScorer(n=4, sigma=6.0)
    for h, refs in zip(hypotheses, references):
        cider += (h, refs)
    if any(t.split() for refs in references for t in refs):
        add("cider", {}, cider.compute_score()[0])
    o = flexible(r, lowercase=[True], punctuation=[True], articles=[True], numbers=[True], whitespace=[False])
    if o.get("articles") and not all(t.isascii() for t in hypotheses + sum(references, [])):
        del o["articles"]  # of other scripts word boundaries are Python's own matter
    hits = [answer(h, o) in [answer(t, o) for t in refs] for h, refs in zip(hypotheses, references)]
    add("exact", o, sum(hits) / len(hits))
    return case


AVERAGES = ("macro", "micro", "weighted")


def label_case(r, number):
    """"m": precision, recall and F1, each macro, micro, weighted; accuracy, balanced accuracy, MCC; "each":
    precision, recall, F1 of each class."""
    classes = r.choice([2, 2, 3, 4, 6])
    n = r.choice([1, 2, 3, 5, 8, 13, 21, 34])
    used = r.sample(range(classes), r.randint(1, classes))
    truths = [r.choice(used) for _ in range(n)]
    predicted = [t if r.random() < 0.5 else r.randrange(classes) for t in truths]
    if r.random() < 0.1:
        predicted = [r.choice(used)] * n
    scores = (sk.precision_score, sk.recall_score, sk.f1_score)
    return {"c": classes, "t": "".join(map(str, truths)), "p": "".join(map(str, predicted)),
            "m": [short(f(truths, predicted, average=a, zero_division=0)) for f in scores for a in AVERAGES] +
                 [short(f(truths, predicted)) for f in (sk.accuracy_score, sk.balanced_accuracy_score,
                                                        sk.matthews_corrcoef)],
            "each": [[short(v) for v in f(truths, predicted, average=None, zero_division=0, labels=range(classes))]
                     for f in scores] if number % 4 == 0 else []}


def tag_case(r, number):
    """"m": precision, recall and F1, each macro, micro, weighted, as conlleval; then all of it strictly."""
    types = r.sample(["A", "B-C", "D", "-E", "F-"], r.randint(1, 3)) + [""]

    def tag():
        place = r.choice("OOBBII")
        t = r.choice(types)
        return "O" if place == "O" else place + ("-" + t if t else "")

    truths = [[tag() for _ in range(r.choice([0, 1, 2, 4, 7, 9]))] for _ in range(r.randint(1, 3))]
    predicted = [[t if r.random() < 0.7 else tag() for t in s] for s in truths]
    values = [f(truths, predicted, average=average, zero_division=0, **how)
              for how in ({}, {"mode": "strict", "scheme": IOB2})
              for f in (precision_score, recall_score, f1_score) for average in AVERAGES]
    return {"t": [" ".join(s) for s in truths], "p": [" ".join(s) for s in predicted],
            "m": [0 if math.isnan(v) else short(v) for v in values]}  # NaN: the mean over no types


def number_case(r, number):
    n = r.randint(1, 60)
    c, k = r.randint(0, n), r.randint(1, n)
    b, d = r.randint(0, 40), r.randint(0, 40)
    ci = binomtest(c, n).proportion_ci(0.9, "wilson")
    miss = Fraction(math.comb(n - c, k), math.comb(n, k))
    return {"n": n, "c": c, "k": k, "pass": short(1 - miss), "wilson90": [short(ci.low), short(ci.high)],
            "pair": [b, d], "mcnemar": short(binomtest(min(b, d), b + d, 0.5).pvalue if b + d else 1)}


def stems(r):
    """Words of all kinds of ends, by their stems."""
    ends = """s es ies sses ss ed ied eed ing ated bled ized ying y ational tional enci anci izer bli abli alli entli eli
    ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful
    ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll le""".split()
    stem = PorterStemmer().stem
    words = {w.lower() for w in WORDS if w.isascii() and w.isalnum()} | {"skies", "dies", "innings", "howe", "succeed"}
    while len(words) < 900:
        words.add("".join(r.choice(["tr", "b", "y", "a", "ee", "oat", "ivy", "hop", "l", "s", "z", "w", "x", "sky", "rat",
                                    "o", "u", "i", "e", "nd", "c"]) for _ in range(r.randint(1, 3))) +
                  "".join(r.choice(ends) for _ in range(r.choice([0, 1, 1, 1, 2]))))
    return " ".join(f"{w}:{stem(w)}" for w in sorted(words) if len(w) > 3)


def write(folder, seed, cases):
    warnings.simplefilter("ignore")
    r = random.Random(seed)
    for name, make, n in (("texts", text_case, cases), ("labels", label_case, cases), ("tags", tag_case, cases),
                          ("numbers", number_case, cases)):
        with open(os.path.join(folder, name + ".jsonl"), "w") as f:
            for number in range(n):
                f.write(json.dumps(make(r, number), ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(os.path.join(folder, "stems.txt"), "w") as f:
        f.write(stems(r).replace(" ", "\n") + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--write", action="store_true")
    p.add_argument("--check", metavar="TESTS")
    p.add_argument("--cases", type=int, default=200)
    p.add_argument("--seed", type=int)
    a = p.parse_args()
    if a.write:
        os.makedirs(INPUTS, exist_ok=True)
        write(INPUTS, a.seed if a.seed is not None else 5, a.cases)
    if a.check:
        seed = a.seed if a.seed is not None else random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}, {a.cases} cases of each kind")
        with tempfile.TemporaryDirectory() as folder:
            write(folder, seed, a.cases)
            done = subprocess.run([a.check, "--gtest_filter=Expected.*"], env=dict(os.environ, R1_METRICS_INPUTS=folder))
        sys.exit(done.returncode)


main()
