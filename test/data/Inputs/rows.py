"""rows.py FOLDER: files of rows that are not as they should be, and of some that are."""
import json
import os
import sys

folder = sys.argv[1]


def write(name, rows):
    with open(os.path.join(folder, name + ".jsonl"), "w") as f:
        f.write("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))


def talk(user, assistant, **more):
    return {"messages": [{"role": "user", "content": user}, dict({"role": "assistant", "content": assistant}, **more)]}


call = [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]
called = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": call},
                       {"role": "tool", "content": "1"}, {"role": "assistant", "content": "x"}]}
good = talk("a", "b")
write("calls", [good, called])
write("weight", [good, talk("a", "b", weight=0)])
write("half", [good, talk("a", "b", weight=0.5)])
write("thought", [good, talk("a", "b", reasoning_content="hm")])
write("empty", [good, talk("a", "")])
write("long", [good, talk("x" * 500, "b"), talk("x", "b" * 500)])
write("tags", [{"tokens": ["the", "big", f"A{i}", "sat"], "tags": ["O", "O", "B-A", "O"]} for i in range(8)] +
      [{"tokens": [], "tags": []}])
write("labels", [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
write("range", [{"text": "a", "label": 0}, {"text": "b", "label": 2}])
write("none", [{"text": "a", "label": 0}, {"text": "b"}])
write("matched", [{"text": "q", "hyp": "a", "ref": "a"}, {"text": "q", "hyp": "a", "ref": "b"}])
write("missing", [{"text": "q", "hyp": "a", "ref": "a"}, {"text": "q", "hyp": "a"}])
write("null", [{"text": "q", "hyp": "a", "ref": "a"}, {"text": "q", "hyp": "a", "ref": None}])
write("texts", [{"text": "abc"}, {"text": ""}, {"text": "de"}])
write("lines", [{"text": " ".join(f"w{(i * j) % 17}" for j in range(1, 3 + i % 9))} for i in range(120)])
with open(os.path.join(folder, "nan.jsonl"), "w") as f:
    f.write('{"text": "a", "label": 0}\n{"text": "b", "label": NaN}\n')
