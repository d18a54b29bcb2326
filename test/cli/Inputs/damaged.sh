# damaged.sh STORE FILE START: changes bytes of finished weights, and breaks manifests.
store=$1; file=$2; start=$3
of() { r1c inspect "$file:$1" --store "$store" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["dir"])'; }
run() { r1c run "$file" --store "$store" "$@"; }
change() { # FILE: 100 bytes near its end
  python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-5000, 2); f.write(b"x" * 100)' "$1"
}

run -q
gpt=$(of gpt)
cp "$gpt/model.safetensors" "$store/whole.safetensors"
change "$gpt/model.safetensors"
echo generate
r1c generate "$file:gpt" "The river" --store "$store"; echo "exit $?"
echo evaluate
run --fresh eval; echo "exit $?"
echo again
run --fresh gpt -q; echo "exit $?"
cmp "$gpt/model.safetensors" "$store/whole.safetensors" && echo the same weights

echo tokenizer
tok=$(of tok)
python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-9, 2); f.write(b"x")' "$tok/tokenizer.model"
run --fresh gpt; echo "exit $?"
run --fresh tok,gpt -q; echo "exit $?"
cmp "$gpt/model.safetensors" "$store/whole.safetensors" && echo the same weights

echo start
r1c run "$start" --store "$store" --set "file=\"$(dirname "$start")/text.txt\"" --until first -q
change "$store"/$(basename $(dirname $(grep -l '"first"' "$store"/*/manifest.json)))/model.safetensors
r1c run "$start" --store "$store" --set "file=\"$(dirname "$start")/text.txt\"" --only second; echo "exit $?"

echo manifest
head -c 40 "$gpt/manifest.json" > "$store/cut" && mv "$store/cut" "$gpt/manifest.json"
r1c plan "$file" --store "$store"
r1c inspect "$file:gpt" --store "$store"; echo "exit $?"
run
cmp "$gpt/model.safetensors" "$store/whole.safetensors" && echo the same weights
