#!/usr/bin/env python3
"""Losses and lengths of gradients of encoder.r1, as PyTorch has them in double precision.

    encoder.py make R1C DATA OUT      writes encoder.json: needs torch, and r1c for the first weights
    encoder.py compare EXPECTED       reads `r1c run --json` and fails where a number differs

The model, its rows and AdamW are written here a second time; only the first weights are r1c's.
"""
import json
import struct
import subprocess
import sys
import tempfile

LEN, H, L = 24, 4, 2


def rows(path, left, middle):
    """Ids, positions, segments and next tokens of each document."""
    out = []
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        ids = [256, *row["text"].encode(), 256]
        inputs, targets = ids[:-1], ids[1:]
        if len(inputs) > LEN:
            keep = [*range(LEN // 2), *range(len(inputs) - LEN // 2, len(inputs))] if middle else range(LEN)
            inputs, targets = [inputs[i] for i in keep], [targets[i] for i in keep]
        n, pad = len(inputs), LEN - len(inputs)
        front, back = (pad, 0) if left else (0, pad)
        place = lambda xs, fill: [fill] * front + xs + [fill] * back
        out.append({"id": place(inputs, 257), "pos": place([*range(n)], 0), "seg": place([0] * n, -1),
                    "target": place(targets, 257), "label": row["label"]})
    return out


def weights(path):
    import torch

    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8: 8 + n])
    out = {}
    for name, t in head.items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            raw = torch.frombuffer(bytearray(data[8 + n + a: 8 + n + b]), dtype=torch.float32)
            out[name] = raw.double().reshape(t["shape"]).requires_grad_()
    return out


def hidden(w, at, batch):
    import torch
    import torch.nn.functional as F

    norm = lambda x, p: F.layer_norm(x, x.shape[-1:], w[p + ".g"], w[p + ".b"], 1e-5)
    linear = lambda x, p: x @ w[p + ".w"] + w[p + ".b"]

    def rotate(x):  # [B, T, H, K]
        half = x.shape[-1] // 2
        angle = batch["pos"][..., None, None] * 10_000.0 ** (-torch.arange(half) / half)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    x = norm(w[at + "table"][batch["id"]], at + "entry")
    B, T, D = x.shape
    see = (batch["seg"][:, :, None] == batch["seg"][:, None, :])[:, None]
    for i in range(L):
        p = f"{at}blocks[{i}]."
        y = norm(x, p + "norm1")
        q, k, v = (linear(y, f"{p}attn.{c}").view(B, T, H, D // H) for c in "qkv")
        q, k, v = (t.transpose(1, 2) for t in (rotate(q), rotate(k), v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=see).transpose(1, 2).reshape(B, T, D)
        x = x + linear(y, p + "attn.o")
        x = x + linear(F.gelu(linear(norm(x, p + "norm2"), p + "mlp.up")), p + "mlp.down")
    return norm(x, at + "norm")


def classes(w, batch):
    import torch

    h, there = hidden(w, "body.", batch), (batch["seg"] >= 0)[..., None]
    z = (h * there).sum(1) / there.sum(1) @ w["head.w"] + w["head.b"]
    lp = torch.log_softmax(z, -1).gather(1, batch["label"][:, None])[:, 0]
    return (-((1 - lp.exp()) ** 2) * lp).mean()


def tokens(w, batch):
    import torch
    import torch.nn.functional as F

    h = hidden(w, "body.", batch)
    y = F.layer_norm(F.gelu(h @ w["dense.w"] + w["dense.b"]), h.shape[-1:], w["norm.g"], w["norm.b"], 1e-5)
    lp = torch.log_softmax(y @ w["body.table"].T + w["bias"], -1).gather(2, batch["target"][..., None])[..., 0]
    return -lp[batch["seg"] >= 0].mean()


def train(loss, w, batch, steps, lr=1e-2, b1=0.9, b2=0.95, eps=1e-8, decay=0.1):
    import torch

    out, m, v = [], {}, {}
    for t in range(1, steps + 1):
        value = loss(w, batch)
        grads = dict(zip(w, torch.autograd.grad(value, list(w.values()))))
        out.append({"loss": value.item(), "grad_norm": sum((g ** 2).sum() for g in grads.values()).sqrt().item()})
        for n, g in grads.items():
            m[n] = b1 * m.get(n, 0) + (1 - b1) * g
            v[n] = b2 * v.get(n, 0) + (1 - b2) * g ** 2
            u = m[n] / (1 - b1 ** t) / ((v[n] / (1 - b2 ** t)).sqrt() + eps)
            w[n] = (w[n] - lr * (u + decay * w[n])).detach().requires_grad_()
    return out


def make(r1c, data, out):
    import torch

    torch.set_default_dtype(torch.float64)
    result = {}
    for stage, loss, left, middle in (("classes", classes, False, True), ("tokens", tokens, True, False)):
        with tempfile.TemporaryDirectory() as store:
            done = subprocess.run(
                [r1c, "run", "--json", __file__.replace(".py", ".r1"), "--only", stage, "--store", store, "--set",
                 f'file="{data}"', "--set", "rate=0.0", "--set", "steps=1step"], check=True, capture_output=True, text=True)
            where = next(e["dir"] for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "artifact")
            w = weights(where + "/model.safetensors")
        table = rows(data, left, middle)
        batch = {k: torch.tensor([r[k] for r in table]) for k in table[0]}
        result[stage] = train(loss, w, batch, 5)
    with open(out, "w") as f:
        f.write(json.dumps(result, indent=1) + "\n")


def compare(expected):
    want, have = json.load(open(expected)), {}
    for line in sys.stdin:
        e = json.loads(line)
        if e["event"] == "step":
            have.setdefault(e["stage"], []).append(e)
    for stage, steps in want.items():
        if len(have.get(stage, [])) != len(steps):
            sys.exit(f"{stage}: {len(have.get(stage, []))} steps, expected {len(steps)}")
        for mine, theirs in zip(have[stage], steps):
            for k, v in theirs.items():
                if not abs(mine[k] - v) <= 2e-4 * abs(v):
                    sys.exit(f"{stage}: step {mine['step']}: {k} is {mine[k]}, PyTorch has {v}")
    print(f"{sum(map(len, want.values()))} steps agree")


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(*sys.argv[2:])
    else:
        compare(sys.argv[2])
