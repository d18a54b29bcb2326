#!/usr/bin/env bash
# disk.sh DIR: makes a corpus on a disk that fills up in the middle, then with room again. To be run in a
# namespace of its own that may mount.
set -u
cd "$1"
python3 - <<'P'
import json, random
random.seed(1)
words = ["".join(random.choices("abcdefghijklmnop", k=7)) for _ in range(50000)]
with open("in.jsonl", "w") as f:
    for i in range(20000):
        f.write(json.dumps({"text": " ".join(random.choices(words, k=100))}) + "\n")
P
echo 'pipeline main() { stage a = jsonl("in.jsonl") |> dedup(minhash()) }' > main.r1
mkdir store
mount -t tmpfs -o size=14m none store
r1c run -q main.r1 --store store
echo "exit $?"
mount -o remount,size=100m store
r1c run -q main.r1 --store store
echo "exit $?"
r1c inspect main.r1:a --store store --verify
r1c run -q main.r1 --store alone
cmp store/*/rows-00000.jsonl.zst alone/*/rows-00000.jsonl.zst && echo "the same rows"
