#!/usr/bin/env python3
"""back.py STORE MORE THERE TRAIN TEST: every row that MORE has added stands behind the row it was made from, for which
THERE has an output; and TRAIN and TEST share no family."""
import glob
import json
import os
import subprocess
import sys


def rows(stage):
    for path in glob.glob(f"{sys.argv[1]}/*/manifest.json"):
        with open(path) as f:
            if json.load(f)["stage"] == stage:
                shards = sorted(glob.glob(f"{os.path.dirname(path)}/rows-*.zst"))
                text = subprocess.run(["zstdcat", *shards], check=True, capture_output=True, text=True).stdout
                return [json.loads(line) for line in text.splitlines()]
    raise AssertionError(f"no stage {stage}")


more, there, train, test = (rows(stage) for stage in sys.argv[2:6])
middle = {r["_id"]: r["output"] for r in there}
before, added = None, 0
for row in more:
    if "~" in row["_id"]:
        added += 1
        assert row["_id"].startswith(before["_id"] + "~"), row
        assert before["_id"] in middle and row["text"] != before["text"] and row["n"] == before["n"], row
        assert row["_key"] == before["_key"]
    else:
        before = row
assert added == len(middle) >= 3, f"{added} rows were added, {len(middle)} were chosen"
families = [{r["_id"].split("~")[0] for r in part} for part in (train, test)]
assert families[0] and families[1] and not families[0] & families[1], families
assert len(train) + len(test) == len(more)
