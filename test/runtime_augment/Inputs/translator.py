#!/usr/bin/env python3
"""A translator that speaks apertium's protocol: `translator.py -u -z -f none PAIR`.

en-xx writes words backwards, xx-en likewise but for "dog", which becomes "hound". What else it does is
said by the pair, or by a word of the text.
"""
import os
import re
import sys
import time

pair = sys.argv[-1]
assert sys.argv[1:-1] == ["-u", "-z", "-f", "none"], sys.argv
if pair not in ("en-xx", "xx-en", "eng-fra", "fra-eng"):
    sys.exit(f"Error: Mode {pair} does not exist.")
held = []  # each answer waits for two more, as those of apertium 3.8 do
texts = b""
while True:
    got = os.read(0, 65536)
    if not got:
        break
    texts += got
    while b"\0" in texts:
        text, _, texts = texts.partition(b"\0")
        text = text.decode()
        if "eid" in text or "die" in text and pair == "en-xx":
            sys.stderr.write("no such word\n")
            sys.exit(7)
        if "sleep" in text:
            time.sleep(60)
        back = re.sub(r"[a-z]+", lambda m: m.group()[::-1], text)
        if pair in ("xx-en", "fra-eng"):
            back = back.replace("dog", "hound")
        held.append(back.encode() + b"\0")
        if len(held) > 2:
            os.write(1, held.pop(0))
