"""Gradients and ten AdamW steps of a 2-layer GPT, r1c against PyTorch from the same weights.

    python test/bench/parity.py [--r1c build/bin/r1c]

Prints the largest relative difference of any parameter's gradient (limit 1e-5, relative to that
gradient's largest element) and of the ten losses (limit 1e-4); exits 1 beyond a limit. Needs torch,
numpy and safetensors. The text has exactly `batch` rows with its end of text, so that every step sees all of it.
"""
import argparse, glob, json, os, subprocess, sys, tempfile
import torch, torch.nn.functional as F
from safetensors.torch import load_file

SEQ, BATCH, D, L, H = 64, 4, 64, 2, 4


def rms(x, g):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * g


def rope(x, base=10000.0):  # x: (B,T,H,K), halves (2, K/2)
    b, t, h, k = x.shape
    i = torch.arange(k // 2, dtype=torch.float64)
    a = torch.arange(t, dtype=torch.float64)[:, None] * base ** (-2.0 * i / k)
    c, s = a.cos().to(x.dtype)[None, :, None], a.sin().to(x.dtype)[None, :, None]
    lo, hi = x[..., : k // 2], x[..., k // 2 :]
    return torch.cat([lo * c - hi * s, hi * c + lo * s], -1)


def loss_of(w, ids, target, mask):
    b, t = ids.shape
    h = w["table"][ids]
    for i in range(L):
        p = f"blocks[{i}]."
        x = rms(h, w[p + "norm1.g"])
        q, k, v = ((x @ w[p + f"attn.{n}.w"]).view(b, t, H, D // H) for n in "qkv")
        q, k = rope(q), rope(k)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        h = h + y.transpose(1, 2).reshape(b, t, D) @ w[p + "attn.o.w"]
        x = rms(h, w[p + "norm2.g"])
        h = h + (F.silu(x @ w[p + "mlp.gate.w"]) * (x @ w[p + "mlp.up.w"])) @ w[p + "mlp.down.w"]
    z = rms(h, w["norm.g"]) @ w["table"].T
    nll = F.cross_entropy(z.view(-1, z.shape[-1]), target.view(-1), reduction="none")
    m = mask.view(-1).to(nll.dtype)
    return (nll * m).sum() / m.sum()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--r1c", default="build/bin/r1c")
    a = p.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    work = tempfile.mkdtemp()
    text = (open(os.path.join(here, "../../README.md"), "rb").read() * 4)[: SEQ * BATCH - 1]
    open(f"{work}/text.txt", "wb").write(text)
    store = f"{work}/store"
    out = subprocess.run(
        [a.r1c, "run", f"{here}/parity.r1", "--set", f'file="{work}/text.txt"', "--store", store,
         "--json"], capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stdout + out.stderr)
    losses = {}
    for line in out.stdout.splitlines():
        e = json.loads(line)
        if e["event"] == "step":
            losses.setdefault(e["stage"], []).append(e["loss"])

    start = json.loads(subprocess.run(
        [a.r1c, "inspect", f"{here}/parity.r1:look", "--set", f'file="{work}/text.txt"', "--store",
         store, "--json"], capture_output=True, text=True, check=True).stdout)
    w0 = {k: v.double() for k, v in load_file(start["files"]["model"]).items()}
    state = load_file(start["files"]["state"])

    # One stream of one segment between two ends of text (256); every token has a target.
    ids = torch.tensor([256] + list(text)).view(BATCH, SEQ)
    target = torch.tensor(list(text) + [256]).view(BATCH, SEQ)
    mask = torch.ones_like(target, dtype=torch.bool)

    w = {k: v.clone().requires_grad_() for k, v in w0.items()}
    loss_of(w, ids, target, mask).backward()
    worst = 0.0
    for k, v in w.items():
        got = state["grad." + k].double().view(v.shape)
        d = ((got - v.grad).abs().max() / v.grad.abs().max()).item()
        worst = max(worst, d)
    print(f"gradients: largest difference {worst:.2e} of the largest element (limit 1e-5)")

    w = {k: v.float().clone().requires_grad_() for k, v in w0.items()}
    opt = torch.optim.AdamW(w.values(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    drift = 0.0
    for step in range(10):
        opt.zero_grad()
        loss = loss_of(w, ids, target, mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        opt.step()
        drift = max(drift, abs(loss.item() - losses["ten"][step]))
    print(f"ten AdamW steps: largest difference of the losses {drift:.2e} (limit 1e-4)")
    sys.exit(0 if worst <= 1e-5 and drift <= 1e-4 else 1)


if __name__ == "__main__":
    main()
