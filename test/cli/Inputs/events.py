"""events.py KIND[:STATE]...: reads NDJSON; every line must be an event with its documented fields,
and each of these kinds must occur."""
import json
import sys

FIELDS = {
    "plan": ["pipeline", "parameters", "stages"],
    "stage": ["stage", "state"],
    "step": ["stage", "step", "loss", "lr", "grad_norm", "tokens_per_s"],
    "metric": ["stage", "name", "value"],
    "artifact": ["stage", "fingerprint", "dir"],
    "kernel": ["stage", "kernels", "cached"],
    "diagnostic": ["severity", "message"],
    "text": [],
    "tensors": ["file", "tensors", "metadata"],
    "check": ["files", "ok"],
    "test": ["name", "passed"],
}
STATES = ["queued", "cached", "started", "done", "failed", "interrupted", "waiting"]
seen = set()
for number, line in enumerate(sys.stdin, 1):
    event = json.loads(line)
    kind = event["event"]
    assert event["v"] == 1 and event["t"] > 1e9, f"line {number}: {line}"
    for field in FIELDS[kind]:
        assert field in event, f"line {number} has no {field}: {line}"
    if kind == "stage":
        assert event["state"] in STATES, line
    seen |= {kind, f"{kind}:{event.get('state') or event.get('severity')}"}
missing = [kind for kind in sys.argv[1:] if kind not in seen]
if missing:
    sys.exit(f"no event {' '.join(missing)}; there are {' '.join(sorted(seen))}")
