"""records.py FILE: compares the record that r1-check shows with the JSON of a file, field by field."""
import json
import sys

shown = json.loads(sys.stdin.read().split(": ", 1)[1])
kept = json.load(open(sys.argv[1]))
wrong = [f"{name}: the library gives {json.dumps(shown.get(name), sort_keys=True)}\n"
         f"  {sys.argv[1]} has {json.dumps(kept.get(name), sort_keys=True)}"
         for name in sorted(shown.keys() | kept.keys()) if shown.get(name) != kept.get(name)]
sys.exit("\n".join(wrong) or 0)
