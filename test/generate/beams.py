#!/usr/bin/env python3
"""beams.py DIR: beam search by `r1c run` beside `generate` of transformers, on a GPT-2 of random weights whose end of
text is likely: widths, length penalties, all ways to end early. Works in DIR."""
import glob
import json
import os
import subprocess
import sys

try:
    import torch
    import transformers as hf
except ImportError as missing:
    print(f"not compared: {missing}")
    sys.exit(0)

hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
torch.set_num_threads(1)
END, PADDING, NEW = 256, 257, 12
EARLY = {"once": True, "worse": False, "never": "never"}
PROMPTS = ["a", "the river", "bread", "of stone and mill", "7", "Ω", "no no no", "."]


def main(directory):
    os.chdir(directory)
    torch.manual_seed(3)
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=260, n_positions=48, n_embd=32, n_layer=2, n_head=2,
                                             initializer_range=0.35)).eval()
    with torch.no_grad():  # the end becomes about as likely as what the model likes to say
        table = model.transformer.wte.weight
        said = torch.cat([model.generate(torch.tensor([[END, *p.encode()]]), max_new_tokens=4, do_sample=True,
                                         num_return_sequences=16, pad_token_id=PADDING)[:, -4:].flatten() for p in PROMPTS])
        table[END] = table[said.bincount().topk(12).indices].mean(0) * 1.8
    model.save_pretrained("gpt2")
    with open("asks.jsonl", "w") as f:
        for p in PROMPTS:
            f.write(json.dumps({"text": p}) + "\n")
    searches = [(beams, penalty, early) for beams in (2, 4, 5) for penalty in (-0.5, 0.0, 0.6, 1.0, 1.5, 3.0)
                for early in EARLY]
    with open("main.r1", "w") as f:
        f.write('pipeline main() {\n  let tok = bytes_tokenizer(["<mask>"])\n'
                '  let base = checkpoint("gpt2", tok = tok)\n  let asks = jsonl("asks.jsonl")\n')
        for i, (beams, penalty, early) in enumerate(searches):
            f.write(f'  stage s{i} = generate(base, asks, beams = {beams}, n = 1, batch = {beams * 3}, '
                    f'length_penalty = {penalty}, early = "{early}", max_new = {NEW})\n')
        f.write("}\n")
    subprocess.run(["r1c", "run", "main.r1", "-q", "--store", "."], check=True, stdout=sys.stderr)
    ours = {}
    for path in glob.glob("*/manifest.json"):
        with open(path) as f:
            stage = json.load(f)["stage"]
        for shard in glob.glob(f"{os.path.dirname(path)}/rows-*.zst"):
            text = subprocess.run(["zstdcat", shard], check=True, capture_output=True, text=True).stdout
            ours[stage] = [json.loads(line) for line in text.splitlines()]
    texts = ended = 0
    for i, (beams, penalty, early) in enumerate(searches):
        for prompt, row in zip(PROMPTS, ours[f"s{i}"], strict=True):
            ids = torch.tensor([[END, *prompt.encode()]])
            with torch.no_grad():
                out = model.generate(ids, attention_mask=torch.ones_like(ids), num_beams=beams, do_sample=False,
                                     max_new_tokens=NEW, length_penalty=penalty, early_stopping=EARLY[early],
                                     eos_token_id=END, pad_token_id=PADDING, suppress_tokens=[PADDING, 259],
                                     return_dict_in_generate=True, output_scores=True)
            theirs = [t for t in out.sequences[0, ids.shape[1]:].tolist() if t != PADDING]
            score = float(out.sequences_scores[0])
            where = f"{prompt!r}, {beams} beams, length_penalty {penalty}, early {early}"
            assert row["output_tokens"] == theirs, f"{where}: {row['output_tokens']} instead of {theirs}"
            assert abs(row["score"] - score) < 1e-4 * max(1, abs(score)), f"{where}: {row['score']}, not {score}"
            texts += 1
            ended += row["finish"] == "stop"
    assert texts // 5 < ended < texts, f"{ended} of {texts} ended"
    print(f"compared: {texts} texts of {len(searches)} searches, {ended} of them ended; all are equal")


main(sys.argv[1])
