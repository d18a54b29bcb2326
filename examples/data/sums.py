#!/usr/bin/env python3
"""sums.py FOLDER: sums_train.jsonl and sums_test.jsonl, small questions with worked answers.

The fields are GSM8K's: `question`, and `answer`, which ends in "#### N". No question is in both files.
"""
import json
import random
import sys

NAMES = ["Ada", "Bo", "Cleo", "Dan", "Eve", "Finn"]
THINGS = ["apples", "books", "coins", "stamps", "eggs"]


def one(draw):
    name, thing = draw.choice(NAMES), draw.choice(THINGS)
    a, b = draw.randint(2, 20), draw.randint(2, 20)
    kind = draw.randrange(3)
    if kind == 0:
        return (f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?",
                f"{name} has {a} + {b} = {a + b} {thing}.\n#### {a + b}")
    if kind == 1:
        a, b = max(a, b) + 1, min(a, b)
        return (f"{name} has {a} {thing} and gives {b} away. How many {thing} are left?",
                f"{a} - {b} = {a - b} {thing} are left.\n#### {a - b}")
    a, b = draw.randint(2, 9), draw.randint(2, 9)
    return (f"{name} fills {a} boxes with {b} {thing} each. How many {thing} is that?",
            f"{a} boxes hold {a} * {b} = {a * b} {thing}.\n#### {a * b}")


def main():
    draw = random.Random(20)
    rows, seen = [], set()
    while len(rows) < 1000:
        question, answer = one(draw)
        if question not in seen:
            seen.add(question)
            rows.append({"question": question, "answer": answer})
    for name, part in (("train", rows[:850]), ("test", rows[850:])):
        with open(f"{sys.argv[1]}/sums_{name}.jsonl", "w") as f:
            for row in part:
                f.write(json.dumps(row) + "\n")


main()
