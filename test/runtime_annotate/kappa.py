#!/usr/bin/env python3
"""kappa.py > expected/kappa.jsonl: pairs of people's answers, and what scikit-learn's cohen_kappa_score
makes of them (PyPI: pip install scikit-learn)."""
import json
import random

import sklearn
from sklearn.metrics import cohen_kappa_score

print(json.dumps({"scikit-learn": sklearn.__version__}))
draw = random.Random(1)
for values, n, noise in [(2, 10, 0.3), (2, 500, 0.05), (3, 40, 0.5), (5, 200, 0.2), (6, 1000, 0.8), (4, 7, 1.0)]:
    a = [draw.randrange(values) for _ in range(n)]
    b = [draw.randrange(values) if draw.random() < noise else x for x in a]
    labels = list(range(values))
    print(json.dumps({"values": values, "a": a, "b": b, "kappa": cohen_kappa_score(a, b, labels=labels),
                      "quadratic": cohen_kappa_score(a, b, labels=labels, weights="quadratic")}))
