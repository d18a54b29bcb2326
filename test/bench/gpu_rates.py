"""What a GPU does at most, as JSON: copies in GB/s (read and written), products in f32 (no TF32) and bf16 in GFLOP/s.

Best of several runs each; PyTorch's products are cuBLAS's.
"""
import json, torch


def best(work, runs=8):
    times = []
    for _ in range(runs):
        a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        a.record()
        work()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b) / 1e3)
    return min(times[2:])


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    n = 1 << 30
    x = torch.empty(n, dtype=torch.uint8, device="cuda")
    y = torch.empty_like(x)
    out = {"copy": 2 * n / best(lambda: y.copy_(x)) / 1e9}
    del x, y
    for name, dtype, m in (("f32", torch.float32, 4096), ("bf16", torch.bfloat16, 8192)):
        a = torch.randn(m, m, device="cuda", dtype=dtype)
        b = torch.randn(m, m, device="cuda", dtype=dtype)
        out[name] = 2 * m**3 / best(lambda: a @ b) / 1e9
    print(json.dumps(out))


main()
