"""Are the rows that classifier.r1 scores as animals those that are labelled so? Reads rows of its stages."""
import json
import sys

rows = {r["_id"]: r for r in map(json.loads, sys.stdin)}.values()
animals = [r for r in rows if r["animal"] >= 0.5]
right = sum((r["label"] == "animal") == (r["animal"] >= 0.5) for r in rows)
for r in rows:
    assert 0 <= r["animal"] <= 1 and 0 <= r["colour"] <= 1 and r["animal"] + r["colour"] <= 1.001, r
    assert r["words"] == len(r["text"].split()), r
print(f"{len(rows)} rows scored, {len(animals)} animals, {'at least' if right >= 0.95 * len(rows) else 'NOT'} 95 % right")
