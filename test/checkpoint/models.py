"""Models of `transformers` with random weights, for the tests of this folder.

  models.py write DIR     tiny models with their scores, as in Inputs/ (config.json, weights, ids, logits.f32)
  models.py compare R1C STAGE_LOGITS DIR
                          larger ones: their scores here against those of `transformers`, and back through
                          `r1c export`, which must not change a bit. Works in DIR.
"""
import json
import os
import shutil
import subprocess
import sys

try:
    import torch
    import transformers as hf
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"not compared: {missing}")
    sys.exit(0)

hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
torch.set_num_threads(1)


def models(vocab, width, inner, length):
    llama = dict(vocab_size=vocab, hidden_size=width, intermediate_size=inner, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=length)
    # These two meet texts of bytes: 256, end of text, padding, <mask>.
    bytes_ = max(vocab, 260)
    bert = dict(vocab_size=bytes_, hidden_size=width, intermediate_size=inner, num_hidden_layers=2,
                num_attention_heads=4, max_position_embeddings=length)
    scaled = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                  high_freq_factor=4.0, original_max_position_embeddings=length // 2)
    return {
        "gpt2": hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=bytes_, n_positions=length, n_embd=width, n_layer=2,
                                                 n_head=4)),
        "gpt2_untied": hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=vocab, n_positions=length, n_embd=width,
                                                        n_layer=1, n_head=2, n_inner=inner,
                                                        activation_function="relu", tie_word_embeddings=False)),
        "llama": hf.LlamaForCausalLM(hf.LlamaConfig(**llama)),
        "llama3": hf.LlamaForCausalLM(hf.LlamaConfig(**llama, attention_bias=True, mlp_bias=True,
                                                     tie_word_embeddings=True, rope_parameters=scaled)),
        "qwen2": hf.Qwen2ForCausalLM(hf.Qwen2Config(**llama)),
        "qwen3": hf.Qwen3ForCausalLM(hf.Qwen3Config(**llama, head_dim=width // 2, tie_word_embeddings=True)),
        "bert": hf.BertForMaskedLM(hf.BertConfig(**bert)),
    }


def randomise(model, scale):
    """Weights large enough that every part shows in the scores, biases and norms included."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            one = 1.0 if "norm" in name.lower() or "ln_" in name else 0.0
            p.copy_(one + scale * torch.randn_like(p))


def scores(kind, folder, ids):
    """In f32, of a model read from its folder: a model that was cast has cast its rotary frequencies, too."""
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].contiguous()


def write(folder):
    kinds = {"gpt2": torch.float16, "llama": torch.float32, "qwen2": torch.bfloat16}
    torch.manual_seed(1)
    for name, model in models(vocab=40, width=16, inner=24, length=16).items():
        randomise(model, 0.3)
        model = model.to(kinds.get(name, torch.bfloat16))
        at = os.path.join(folder, name)
        os.makedirs(at, exist_ok=True)
        model.save_pretrained(at, max_shard_size="12KB" if name == "llama" else "5GB")
        if os.path.exists(os.path.join(at, "generation_config.json")):
            os.remove(os.path.join(at, "generation_config.json"))
        ids = torch.randint(0, 40, (6 if name in ("gpt2", "bert") else 12,)).tolist()
        with open(os.path.join(at, "ids"), "w") as f:
            f.write(",".join(map(str, ids)))
        with open(os.path.join(at, "logits.f32"), "wb") as f:
            f.write(scores(type(model), at, ids).numpy().tobytes())


def tokenised(folder):
    """A llama with a tokenizer of its own, byte-level BPE as Llama 3 has it."""
    from tokenizers import Tokenizer, decoders, models as kinds, pre_tokenizers, trainers
    tok = Tokenizer(kinds.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    with open(__file__, encoding="utf-8") as f:
        text = f.read()
    tok.train_from_iterator(text.splitlines(True), trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|begin|>", "<|end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    fast = hf.PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|begin|>", eos_token="<|end|>",
                                      pad_token="<|pad|>")
    fast.save_pretrained(folder)
    model = models(vocab=len(fast), width=64, inner=96, length=64)["llama"]
    randomise(model, 0.1)
    model.save_pretrained(folder)
    return fast, text


def compare_tokenised(r1c, folder):
    """The perplexity by the folder's own tokenizer; and the export, tokenizer and ids included."""
    source, back = os.path.join(folder, "tokenised"), os.path.join(folder, "tokenised.back")
    fast, text = tokenised(source)
    line = "the quick brown fox, née 1984: <|end|> \U0001f600 日本"
    file = os.path.join(folder, "tokenised.r1")
    with open(os.path.join(folder, "line.txt"), "w", encoding="utf-8") as f:
        f.write(line + "\n")
    with open(file, "w") as f:
        f.write(f'''pipeline p() {{
  stage base = checkpoint("{source}")
  stage e = evaluate(base, {{ppl = perplexity(lines("{folder}/line.txt") |> pack(base.tokenizer, 64))}})
}}
''')
    artifact(r1c, file, "base")
    out = subprocess.run([r1c, "run", file, "--store", file + ".store", "--json"], check=True, capture_output=True,
                         text=True).stdout
    mine = next(e["value"] for e in map(json.loads, out.splitlines()) if e["event"] == "metric" and e["name"] == "ppl")
    # A document is begin of text, its tokens, and end of text; each token but the first is predicted.
    ids = [fast.bos_token_id] + fast(line, add_special_tokens=False)["input_ids"] + [fast.eos_token_id]
    logits = scores(hf.AutoModelForCausalLM, source, ids[:-1])
    theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])).exp().item()
    shutil.rmtree(back, ignore_errors=True)
    subprocess.run([r1c, "export", f"{file}:base", back, "--store", file + ".store", "-q"], check=True)
    again = hf.AutoTokenizer.from_pretrained(back)
    config = hf.AutoConfig.from_pretrained(back)
    equal = again(text)["input_ids"] == fast(text)["input_ids"] and again.eos_token == fast.eos_token
    equal &= config.eos_token_id == fast.eos_token_id and config.bos_token_id == fast.bos_token_id
    close = abs(mine - theirs) <= 1e-5 * theirs
    print(f"tokenised: perplexity {mine:.6g}, there {theirs:.6g}; its tokenizer and ids exported " +
          ("and loaded again" if equal else "DIFFERENTLY"))
    return close and equal


def program(path, names, folder, length):
    """Every model as a stage; that of BERT, which does not write, gives scores through a training that never runs."""
    lines = ["pipeline p() {"]
    for name in names:
        lines.append(f'  stage {name} = checkpoint("{folder}/{name}", seq = {length})')
    lines += [f'  let rows = lines("{path}") |> pack(bytes_tokenizer(), {length})',
              "  stage bert_scores = train(model = bert, data = rows, loss = lm_loss, budget = 1steps)"]
    lines.append("}")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def artifact(r1c, file, name):
    out = subprocess.run([r1c, "run", file, "--store", file + ".store", "--only", name, "--json"], check=True,
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        event = json.loads(line)
        if event["event"] == "stage" and event["stage"] == name and "fingerprint" in event:
            return os.path.join(file + ".store", event["fingerprint"])
        if event["event"] == "artifact" and event["stage"] == name:
            return os.path.join(file + ".store", event["fingerprint"])
    sys.exit(f"{name}: no artifact in\n{out}")


def same(a, b):
    """The weights of two folders, to the bit, but for the type they are stored in."""
    load = lambda d: {k: v for f in sorted(os.listdir(d)) if f.endswith(".safetensors")
                      for k, v in load_file(os.path.join(d, f)).items()}
    x, y = load(a), load(b)
    return x.keys() == y.keys() and all(torch.equal(x[k].float(), y[k].float()) for k in x)


def compare(r1c, logits, folder):
    torch.manual_seed(2)
    failed = False
    made = models(vocab=500, width=64, inner=96, length=64)
    made["llama_bf16"] = hf.LlamaForCausalLM(made["llama"].config).to(torch.bfloat16)
    made["gpt2_f16"] = hf.GPT2LMHeadModel(made["gpt2"].config).to(torch.float16)
    file = os.path.join(folder, "all.r1")
    for name, model in made.items():
        randomise(model, 0.1)
        model.save_pretrained(os.path.join(folder, name), max_shard_size="100KB")
    program(file, made, folder, 64)
    for name, model in made.items():
        ids = torch.randint(0, 500, (48,)).tolist()
        source = os.path.join(folder, name)
        expected = os.path.join(folder, name + ".f32")
        theirs = scores(type(model), source, ids)
        with open(expected, "wb") as f:
            f.write(theirs.numpy().tobytes())
        weights = artifact(r1c, file, name) + "/model.safetensors"
        stage = "bert_scores" if name == "bert" else name
        r = subprocess.run([logits, f"{file}:{stage}", weights, ",".join(map(str, ids)), expected],
                           capture_output=True, text=True)
        back = os.path.join(folder, name + ".back")
        shutil.rmtree(back, ignore_errors=True)
        subprocess.run([r1c, "export", f"{file}:{name}", back, "--store", file + ".store", "--shard-size", "100KB",
                        "-q"], check=True)
        auto = hf.AutoModelForMaskedLM if name == "bert" else hf.AutoModelForCausalLM
        equal = torch.equal(scores(auto, back, ids), theirs) and same(source, back)
        print(f"{name}: {(r.stdout or r.stderr).strip()}; exported and loaded again: " +
              ("the same bits" if equal else "DIFFERENT"))
        failed |= r.returncode != 0 or not equal
    failed |= not compare_tokenised(r1c, folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"] and len(sys.argv) == 3:
        write(sys.argv[2])
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 5:
        compare(*sys.argv[2:])
    else:
        sys.exit(__doc__)
