#!/usr/bin/env python3
"""names.py [spans]: 200 sentences about people and places as JSON lines, with tags or with spans of characters."""
import json
import random
import sys

random.seed(5 if sys.argv[1:] else 4)
people, places = ["Ann", "Bob Ray", "Zoë Lee", "Carl"], ["York", "New York", "Köln", "Rio"]
for _ in range(200):
    parts = [("", "the"), ("PER", random.choice(people)), ("", random.choice(["went to", "saw", "left"])),
             ("LOC", random.choice(places)), ("", "again.")]
    random.shuffle(parts)
    text, spans, tokens, tags = "", [], [], []
    for label, words in parts:
        text += " " if text else ""
        if label:
            spans.append({"start": len(text), "end": len(text) + len(words), "label": label})
        text += words
        for i, word in enumerate(words.split()):
            tokens.append(word)
            tags.append(("I-" if i else "B-") + label if label else "O")
    print(json.dumps({"text": text, "spans": spans} if sys.argv[1:] else {"tokens": tokens, "tags": tags},
                     ensure_ascii=False))
