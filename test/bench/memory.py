#!/usr/bin/env python3
"""memory.py [FILE.r1[:pipeline] [ARGUMENT...]]: the peak of memory as `r1c plan` predicts it against the
peak resident size of the run, minus what was resident at the end of compilation.

Without arguments: examples/hello.r1 with a batch of 192 rows, two steps, more than 1 GiB. Promised:
never above the prediction; at most 2 % below it for runs of 1 GiB and more, at most 16 MiB otherwise.
"""
import json
import subprocess
import sys
import tempfile

MiB = 1 << 20


def events(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main(args):
    if not args:
        args = ["examples/hello.r1", "--set", "gpt.batch=192", "--set", "gpt.budget=2steps", "--only", "gpt"]
    wrong = 0
    with tempfile.TemporaryDirectory() as store:
        common = [*args, "--json", "--store", store]
        plan = next(e for e in events(["r1c", "plan", *common]) if e["event"] == "plan")
        planned = {s["name"]: sum(s["memory"].values()) for s in plan["stages"] if "memory" in s}
        for e in events(["r1c", "run", *common]):
            if "memory" not in e or e["stage"] not in planned:
                continue
            m = e["memory"]
            print(f"{e['stage']}: arena {m['arena'] / MiB:.1f} MiB, workspace {m['scratch'] / MiB:.1f}, "
                  f"data {m['data'] / MiB:.1f}; measured peak {m['measured'] / MiB:.1f} MiB")
            for what, predicted in [("plan", planned[e["stage"]]), ("first step", m["predicted"])]:
                over = predicted - m["measured"]
                good = 0 <= over <= (predicted * 0.02 if predicted >= 1 << 30 else 16 * MiB)
                wrong += not good
                print(f"  predicted by the {what}: {predicted / MiB:.1f} MiB, {over / MiB:+.1f} MiB "
                      f"({100 * over / predicted:.2f} %){'' if good else '  NOT AS PROMISED'}")
    sys.exit(wrong)


main(sys.argv[1:])
