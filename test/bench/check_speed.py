#!/usr/bin/env python3
"""check_speed.py [LINES]: `r1c check` of a program of 2,000 lines against `r1c --version`.

Writes a program as people write them, with models, functions, pipelines with several stages and tests,
checks it 15 times between as many calls of --version, and prints the medians. Exit 1 if check takes
more than 50 ms longer. `-o FILE` keeps the program, and the text that it reads beside it.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

UNIT = '''
// ── part {n} ────────────────────────────────────────────────────────────────

/// A bottleneck of width R around the block number {n}.
model Adapter{n}(D: dim, R: dim = 16, scale: float = 1.0) {{
  let down = Linear(D, R)
  let up   = Linear(R, D, init = zeros())

  fn forward(x: real[...S, D]) -> real[...S, D] = x + scale * up(silu(down(x)))
}}

/// As Block, with an adapter behind each half.
model Block{n}(D: dim, H: dim, F: dim, R: dim = {r}) {{
  let norm1 = RMSNorm(D)
  let attn  = Attention(D, H)
  let side1 = Adapter{n}(D, R)
  let norm2 = RMSNorm(D)
  let mlp   = SwiGLU(D, F)
  let side2 = Adapter{n}(D, R)

  fn forward(h: real[B, T, D], pos: i32[B, T], seg: i32[B, T]) -> real[B, T, D] {{
    let a = h + side1(attn(norm1(h), pos, seg))
    a + side2(mlp(norm2(a)))
  }}
}}

model Net{n}(V: dim, D: dim = 128, L: int = 2, H: dim = 4, F: dim = 4 * D) {{
  param table: real[V, D] = normal(0.02)
  let blocks = map(0..L, i => Block{n}(D, H, F))
  let norm   = RMSNorm(D)

  fn embed(x: Tokens[B, T, V]) -> real[B, T, D] = for b, t, d => table[x.id[b, t], d]
  fn logits(h: real[...S, D]) -> real[...S, V] = for ...s, v => sum(d => h[...s, d] * table[v, d])
  fn hidden(x: Tokens[B, T, V]) -> real[B, T, D] =
    norm(fold(blocks, embed(x), (a, block) => block(a, x.pos, x.seg)))
  fn forward(x: Tokens[B, T, V]) -> real[B, T, V] = logits(hidden(x))
}}

/// Cross-entropy, smoothed towards the uniform distribution.
fn smooth{n}(m, b: LMBatch[B, T, V], by: float = 0.{n:02}) -> f32 {{
  let z  = f32(m(b.x))
  let lp = logprob(z, b.target)
  let u  = for i, t => mean(v => z[i, t, v]) - logsumexp(z[i, t], V)
  mean(-(1.0 - by) * lp - by * u, where = b.mask)
}}

/// Warm-up over the first {n} %, then a straight line.
fn ramp{n}(top: float) -> Schedule =
  p => if p < 0.{n:02} then top * p / 0.{n:02} else top * (1.0 - p) / (1.0 - 0.{n:02})

test "ramp{n} begins and ends with nothing" {{
  let f = ramp{n}(2.0)
  assert close(f(0.0), 0.0)
  assert close(f(1.0), 0.0)
}}

'''

PIPELINE = '''
pipeline train{n}(file: str = "{text}", vocab: int = 512, seq: int = 64) {{
  let part = lines(file, by = "paragraph") |> split(train = 90%, valid = 5%, test = 5%)
  stage tok = bpe(part.train, vocab)

  stage base = train(
    model  = Net{n}(vocab, D = {d}),
    data   = part.train |> pack(tok, seq),
    valid  = part.valid |> pack(tok, seq),
    loss   = lm_loss,
    lr     = cosine(from = 1e-3, to = 1e-5, warmup = 5%),
    batch  = 16,
    budget = {n}00steps)

  stage tuned = train(
    model     = base,
    trainable = ["blocks[*].side1.**", "blocks[*].side2.**"],
    data      = part.train |> filter(r => len(r.text) > {n}) |> pack(tok, seq),
    loss      = lm_loss,
    lr        = 3e-4,
    batch     = 16,
    budget    = 1epochs)

  stage judged = evaluate(tuned, {{
    ppl  = perplexity(part.test |> pack(tok, seq)),
    bits = bits_per_byte(part.test |> pack(tok, seq)),
  }}, require = m => m.ppl < 50.0)
}}
'''


def program(lines, pipelines, text):
    out, n = "//! A program of a size that projects reach.\n", 1
    while out.count("\n") < lines:
        out += UNIT.format(n=n, r=8 + n % 3 * 8)
        if n <= pipelines:
            out += PIPELINE.format(n=n, d=64 * (1 + n % 4), text=text)
        n += 1
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", nargs="?", type=int, default=2000)
    parser.add_argument("--pipelines", type=int, default=4, help="each with four stages; 4")
    parser.add_argument("-o", "--output")
    parser.add_argument("--r1c", default="r1c")
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        text = os.path.join(os.path.dirname(os.path.abspath(args.output)) if args.output else tmp, "text.txt")
        with open(text, "w") as f:
            f.write("some text\n")
        path = args.output or os.path.join(tmp, "large.r1")
        source = program(args.lines, args.pipelines, text)
        with open(path, "w") as f:
            f.write(source)
        times = {"check": [], "--version": []}
        for _ in range(args.runs):
            for what, command in [("check", [args.r1c, "check", path]), ("--version", [args.r1c, "--version"])]:
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True)
                times[what].append(1000 * (time.perf_counter() - begin))
                if done.returncode:
                    sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[:3000]}")
    check, version = (statistics.median(times[k]) for k in ["check", "--version"])
    print(f"{source.count(chr(10))} lines, {source.count(chr(10) + 'pipeline')} pipelines: check {check:.1f} ms, --version {version:.1f} ms, "
          f"difference {check - version:.1f} ms (at most 50); fastest {min(times['check']):.1f} and "
          f"{min(times['--version']):.1f} ms")
    sys.exit(check - version > 50)


main()
