"""1500 numbers as words and as digits, as JSON lines."""
import json
import random

random.seed(1)
names = "zero one two three four five six seven eight nine".split()
for _ in range(1500):
    number = [random.randrange(10) for _ in range(random.randint(1, 4))]
    print(json.dumps({"words": " ".join(names[d] for d in number), "digits": "".join(map(str, number))}))
