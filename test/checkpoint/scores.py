"""scores.py MODELS: the scores of each model of models.r1, which has run in this folder, against those that stand in
MODELS; prints the hash of its weights and what stage-logits says, and fails if that does."""
import glob
import json
import struct
import subprocess
import sys

weights = {}
for path in glob.glob(".r1/*/manifest.json"):
    with open(path) as f:
        weights[json.load(f)["stage"]] = path.replace("manifest.json", "model.safetensors")
failed = False
for stage in ["gpt2", "gpt2_untied", "llama", "llama3", "qwen2", "qwen3", "bert_scores"]:
    model = stage.removesuffix("_scores")
    with open(f"{sys.argv[1]}/{model}/ids") as f:
        ids = f.read()
    r = subprocess.run(["stage-logits", f"models.r1:{stage}", weights[model], ids, f"{sys.argv[1]}/{model}/logits.f32"],
                       capture_output=True, text=True)
    with open(weights[model], "rb") as f:
        header = json.loads(f.read(*struct.unpack("<Q", f.read(8))))
    print(f"{model}: {header['__metadata__']['xxh64']}: {(r.stdout or r.stderr).strip()}", flush=True)
    failed |= r.returncode != 0
sys.exit(failed)
