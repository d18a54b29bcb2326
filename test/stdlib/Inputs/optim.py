"""Twenty steps of each optimiser in PyTorch (float64), as the numbers that test/stdlib/optim.r1 expects.

Lion and Muon follow their papers' formulas: google/automl's lion.py, and Keller Jordan's muon.py with its
matrices transposed, since there rows are outputs. Prints NAME and the parameters row by row; with
--check FILE compares them with the numbers in that file instead.
"""
import re
import sys

try:
    import torch
except ImportError:
    print("PyTorch is not installed: the numbers stand as they are")
    sys.exit(0)

P = [[0.5, -1.0, 2.0], [0.25, 3.0, -0.75]]


def gradient(p, k):
    return torch.sin(3.0 * p + k) + 0.5 * p


def run(step, rows=P, transpose=False):
    p = torch.tensor(rows, dtype=torch.float64)
    if transpose:
        p = p.T.contiguous()
    for k in range(1, 21):
        p = step(p, gradient(p, k), k)
    return p


def library(make):
    p = torch.nn.Parameter(torch.tensor(P, dtype=torch.float64))
    optim = make([p])
    for k in range(1, 21):
        p.grad = gradient(p.detach(), k)
        optim.step()
    return p.detach()


def lion(lr, b1, b2, decay):
    m = torch.zeros(2, 3, dtype=torch.float64)

    def step(p, g, k):
        nonlocal m
        p = p * (1 - lr * decay) - lr * torch.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
        return p
    return step


def newton_schulz(g, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    if g.shape[0] > g.shape[1]:
        x = x.T
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon(lr, momentum, nesterov, decay):
    m = None

    def step(p, g, k):  # rows are inputs
        nonlocal m
        p, g = p.T, g.T
        m = torch.zeros_like(g) if m is None else m
        m = m.lerp(g, 1 - momentum)
        u = newton_schulz(g.lerp(m, momentum) if nesterov else m)
        u = u * max(1, g.shape[0] / g.shape[1]) ** 0.5
        return ((1 - lr * decay) * p - lr * u).T
    return step


o = torch.optim
cases = {
    "adamw": library(lambda p: o.AdamW(p, lr=0.05, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)),
    "sgd": library(lambda p: o.SGD(p, lr=0.05)),
    "momentum": library(lambda p: o.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01)),
    "nesterov": library(lambda p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    "lion": run(lion(0.01, 0.9, 0.99, 0.1)),
    "muon": run(muon(0.02, 0.95, True, 0.1)),
    "muon tall": run(muon(0.02, 0.95, True, 0.1), transpose=True),
    "muon plain": run(muon(0.02, 0.9, False, 0.0)),
}
if len(sys.argv) == 3 and sys.argv[1] == "--check":
    text = open(sys.argv[2]).read()
    wanted = dict(re.findall(r'test "([^"]+)" \{.*?want: f32\[R, C\] = (\[\[.*?\]\])', text, re.S))
    assert wanted.keys() == cases.keys(), (sorted(wanted), sorted(cases))
    for name, p in cases.items():
        have = torch.tensor(eval(wanted[name]), dtype=torch.float64)
        assert have.shape == p.shape and (have - p).abs().max() < 1e-8, (name, have, p)
else:
    for name, p in cases.items():
        print(name, *(f"{x:.9f}" for x in p.flatten().tolist()))
