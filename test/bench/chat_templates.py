#!/usr/bin/env python3
"""chat_templates.py FOLDER [--write | --check TESTS] [--cases N] [--seed S]: `chat` against the models' own templates.

FOLDER holds Jinja templates, by the names in FILES: those of the package trl (trl/chat_templates in its wheel) or of
llama.cpp (models/templates). transformers renders random conversations with them; --write leaves what they say in
test/runtime_data/Inputs/chats.jsonl, which the plain test reads. --check makes other conversations, of a seed drawn
anew (and printed), and has TESTS (build/bin/test_runtime_data) judge them. Without either it only says what is there.
Exit 77 where a package is missing: `pip install transformers jinja2`, and `pip download --no-deps trl` for a FOLDER.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    from transformers.utils.chat_template_utils import render_jinja_template
except ImportError as e:
    print(f"not compared: {e}; pip install transformers jinja2")
    sys.exit(77)

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runtime_data", "Inputs")

# Of r1c, the names of its file in trl and in llama.cpp, the token that begins a text, whether tools have a form.
FILES = [
    ("chatml", ["qwen3_instruct_2507.jinja"], "", True),
    ("qwen", ["qwen2_5.jinja", "Qwen-Qwen2.5-7B-Instruct.jinja"], "", True),
    ("llama3", ["llama3.jinja"], "<|begin_of_text|>", False),
    ("llama31", ["llama3_1.jinja", "meta-llama-Llama-3.1-8B-Instruct.jinja"], "<|begin_of_text|>", True),
    ("deepseek", ["deepseekv3.jinja"], "<｜begin▁of▁sentence｜>", False),
    ("deepseek", ["deepseek_r1_distill.jinja", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja"],
     "<｜begin▁of▁sentence｜>", False),
    # Of the model that thinks: the last answer, that to the last question, begins with an empty thought.
    ("chatml", ["qwen3.jinja", "Qwen-Qwen3-0.6B.jinja"], "", False),
]
THOUGHT = "<think>\n\n</think>\n\n"

TEXTS = ["Hi", "1+1?", "2", " leading", "trailing ", "\n\nlines\n\n", "你好，世界", "　全角空格　", "\u00a0no break\u00a0",
         "a\tb", "Say \"x\" & <y>", "```py\nprint(1)\n```", "\u2003em\u2003", "\x1cfs\x1f", "naïve café 😀", "0",
         "line\u2028separator\u2029", "{\"a\": 1}", "  ", "C:\\path\\n", "# head\n- item", "\u0085next\u0085", "é́"]
VALUES = [1, -7, 0.5, 1e20, 1e-7, 123456.0, 1e16, True, None, "text", "引号\"", "a\\b\n\u0001\x7f", [], {}, [1, [2, "x"]],
          {"z": 1, "a": {"k": [None]}}]


def tool(r):
    name = r.choice(["get_weather", "search", "计算"])
    fields = {r.choice("xyzabc") + str(i): {"type": r.choice(["string", "number"]), "description": r.choice(TEXTS)}
              for i in range(r.randint(0, 3))}
    return {"type": "function", "function": {"name": name, "description": r.choice(TEXTS), "parameters": {
        "type": "object", "properties": fields, "required": list(fields)[:1]}}}


def call(r):
    return {"type": "function", "function": {"name": r.choice(["get_weather", "search"]), "arguments": {
        r.choice("zyxcba") + str(i): r.choice(VALUES) for i in range(r.randint(0, 3))}}}


def conversation(r, form, tools):
    """Messages as r1c takes them, ending with an answer that is learned."""
    out = []
    if r.random() < 0.5:
        out.append({"role": "system", "content": r.choice(TEXTS + [""])})
    for _ in range(r.randint(1, 4)):
        out.append({"role": "user", "content": r.choice(TEXTS + [""])})
        while tools and r.random() < 0.4:
            calls = [call(r) for _ in range(1 if form == "llama31" else r.randint(1, 3))]
            content = "" if form == "llama31" else r.choice(TEXTS + ["", ""])
            out.append({"role": "assistant", "content": content, "tool_calls": calls})
            out += [{"role": "tool", "content": r.choice(TEXTS)} for _ in calls]
        answer = {"role": "assistant", "content": r.choice(TEXTS + [""])}
        if not answer["content"].strip() or r.random() < 0.2:
            answer["weight"] = 0  # what is empty cannot be learned
        out.append(answer)
    if out[-1].get("weight") == 0:
        out[-1] = {"role": "assistant", "content": "The end."}
    return out


def cases(folder, r, n):
    for form, names, begin, tools in FILES:
        path = next((p for p in (os.path.join(folder, name) for name in names) if os.path.exists(p)), None)
        if not path:
            print(f"{form}: none of {', '.join(names)} in {folder}")
            continue
        with open(path) as f:
            template = f.read()
        thinks = names[0] == "qwen3.jinja"

        def render(messages, given, prompt):
            texts, _ = render_jinja_template([messages], tools=given or None, chat_template=template,
                                             add_generation_prompt=prompt, bos_token=begin)
            return texts[0]

        for i in range(n):
            with_tools = tools and i % 2 == 1
            messages = conversation(r, form, with_tools)
            given = [tool(r) for _ in range(r.randint(0, 2))] if with_tools else []
            one = {"of": os.path.basename(path), "format": form, "messages": messages, "text": render(messages, given, False)}
            if given:
                one["tools"] = given
            if thinks:
                one["messages"] = [*messages[:-1], dict(messages[-1], content=THOUGHT + messages[-1]["content"].lstrip("\n"))]
            else:  # R1's template lets the model begin with a thought; V3's does not
                one["prompt"] = render(messages[:-1], given, True).removesuffix("<think>\n" if form == "deepseek" else "")
            yield one
        print(f"{form}: {n} conversations as {os.path.basename(path)} writes them")


def write(folder, file, seed, n):
    r = random.Random(seed)
    with open(file, "w") as f:
        for one in cases(folder, r, n):
            f.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--write", action="store_true")
    p.add_argument("--check", metavar="TESTS")
    p.add_argument("--cases", type=int, default=12)
    p.add_argument("--seed", type=int)
    a = p.parse_args()
    if a.write:
        write(a.folder, os.path.join(INPUTS, "chats.jsonl"), 5 if a.seed is None else a.seed, a.cases)
        return
    seed = random.SystemRandom().randrange(1 << 32) if a.seed is None else a.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "chats.jsonl")
        write(a.folder, file, seed, a.cases)
        if a.check:
            done = subprocess.run([a.check, "--gtest_filter=Chat.AsTheModelsTemplatesWriteIt"],
                                  env=dict(os.environ, R1_CHATS=file))
            sys.exit(done.returncode)


main()
