#!/usr/bin/env python3
"""Writes Inputs/topics.json: texts, and what scikit-learn makes of them, which TopicsTest.cpp compares.

    pip install scikit-learn && test/runtime_mixture/topics.py

The analyzer is written here once more: words in lower case without punctuation, and each two Chinese
characters that stand side by side.
"""
import json
import pathlib
import random
import re

import numpy
import sklearn
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

SUBJECTS = [
    "court judge law appeal statute contract party licence claim liability",
    "kernel memory thread file system call process signal buffer page",
    "river mountain rain forest snow valley wind stone cloud lake",
    "法院 判决 合同 法律 当事人 责任 诉讼 法官 条款 赔偿",
]
COMMON = "the of and to a in is that for it"


def texts(rng):
    out = []
    for i in range(64):
        own = SUBJECTS[i % 4].split()
        words = []
        for _ in range(rng.randint(6, 20)):
            where = rng.random()
            other = SUBJECTS[rng.randrange(3)].split()
            words.append(rng.choice(own if where < 0.5 else other if where < 0.65 else COMMON.split()))
        if i % 4 == 3:
            text = "".join(w + ("，" if rng.random() < 0.2 else "") for w in words if ord(w[0]) > 255)
            text += " " + " ".join(w for w in words if ord(w[0]) < 256)
        else:
            text = " ".join(words).capitalize() + "."
        out.append(text)
    return out


def terms(text):
    out = []
    for run in re.findall(r"[一-鿿]+|[a-z]+", text.lower()):
        if ord(run[0]) < 256 or len(run) == 1:
            out.append(run)
        else:
            out += [run[i:i + 2] for i in range(len(run) - 1)]
    return out


def main():
    docs = texts(random.Random(4))
    vectors = TfidfVectorizer(analyzer=terms, min_df=2, max_df=0.5)
    x = vectors.fit_transform(docs)
    vocabulary = vectors.get_feature_names_out().tolist()
    first = [0, 1, 4, 8]  # a poor choice, so that there are several rounds
    km = KMeans(4, init=x[first].toarray(), n_init=1, tol=0, max_iter=100, algorithm="lloyd").fit(x)
    rows = [[[int(t), float(v)] for t, v in sorted(zip(r.indices, r.data))] for r in x[:6]]
    expected = {
        "sklearn": sklearn.__version__,
        "texts": docs,
        "terms": vocabulary,
        "idf": vectors.idf_.tolist(),
        "rows": rows,
        "first": first,
        "labels": km.labels_.tolist(),
        "inertia": float(km.inertia_),
        "rounds": int(km.n_iter_),
        "centre0": numpy.round(km.cluster_centers_[0], 15).tolist(),
    }
    out = pathlib.Path(__file__).parent / "Inputs/topics.json"
    out.write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{out}: {len(vocabulary)} terms, {expected['rounds']} rounds, inertia {expected['inertia']:.4f}")


main()
