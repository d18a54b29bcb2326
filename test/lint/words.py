"""Words that do not belong: marks of unfinished work, paths of one machine, hosts of registries in any
tracked file; names of models and methods in compiler/ and dialects/."""
import re

from tree import Tree, place

# Written so that this file does not contain what it looks for.
ANYWHERE = [
    (re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b"), "finish it, or say in a message what is not supported yet"),
    (re.compile(r"(?<![\w.])/(work|root)/"), "a path of one machine"),
    (re.compile(r"\b(pypi\.(org|io)|pythonhosted\.org|crates\.io|npmjs\.(org|com)|proxy\.golang\.org|"
                r"deb\.debian\.org|apt\.llvm\.org|conda\.anaconda\.org|(docker|ghcr|quay)\.io|"
                r"repo1?\.maven\.org)\b"), "the host of a registry: tools find it through their settings"),
]

# As a word of its own, or as a part of a camelCase name.
METHODS = re.compile(
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(adamw?|sgd|lora|dpo|ppo|grpo|rope|cosine|warmup|swiglu|gelu|rms_?norm|layer_?norm|gpt\d?|llama|"
    r"transformer|cross_?entropy|perplexity|bits_per_byte|dropout|attention))(?![a-z])")

# (word, where it may stand, why).
ALLOWED = [
    ("attention", r"compiler/(cpu|cuda)/|compiler/tools/|compiler/Compiler\.cpp|compiler/fuse/",
     "the schedule of a registered kernel, under the kernel's name"),
    ("attention", r"compiler/decode/", "how positions may meet: the registered kernel whose keys can be kept"),
    ("perplexity|bits_per_byte", r"compiler/(eval|check|tools)/",
     "metrics that the runtime computes: built-in names, declared in stdlib/metrics.r1"),
    ("ppo|grpo", r"compiler/check/Names\.cpp", "names of the language that are refused as not supported yet"),
    ("dropout", r"compiler/(eval|check)/",
     "built in because it draws random numbers and is absent outside of training"),
]


def blank(m):
    return re.sub(r"[^\n]", " ", m[0])


def withoutComments(text, path):
    """The text with comments (and the prose of .td files) blanked, so that lines keep their numbers."""
    if path.endswith(".td"):
        text = re.sub(r"let description = \[\{.*?\}\]|let summary = \"[^\n]*", blank, text, flags=re.S)
    string = r'"(?:\\.|[^"\\\n])*"'
    return re.sub(string + r"|//[^\n]*|/\*.*?\*/", lambda m: m[0] if m[0][0] == '"' else blank(m), text,
                  flags=re.S)


def main():
    tree = Tree()
    for path in tree.paths:
        if "/corpus/" in path:  # seeds of the fuzzers are bytes, not text
            continue
        text = tree.read(path)
        for pattern, why in ANYWHERE:
            for m in pattern.finditer(text):
                tree.problem(place(path, text, m.start()), f"`{m[0]}`: {why}")
        # Diags.def explains to people, with examples in the language.
        if not path.startswith(("compiler/", "dialects/")) or path.startswith("compiler/kernels/") or \
                path == "compiler/diag/Diags.def":
            continue
        if not path.endswith((".h", ".cpp", ".def", ".td")):
            continue
        code = withoutComments(text, path)
        code = re.sub(r'^[ \t]*#include[^\n]*', blank, code, flags=re.M)
        for m in METHODS.finditer(code):
            word = m[1].lower()
            if not any(re.fullmatch(w, word) and re.match(where, path) for w, where, _ in ALLOWED):
                tree.problem(place(path, text, m.start()),
                             f"`{m[0]}`: the compiler knows no models or methods; they live in stdlib/")
    tree.finish()


main()
