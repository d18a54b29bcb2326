# interrupt.sh STORE OTHER FILE: interrupts a run in the first store, compares with one in the other.
a=$1; b=$2; file=$3
set -- --set budget=6000steps --only gpt
r1c run "$file" --store "$a" "$@" > "$a/log" 2>&1 &
until grep -q "step" "$a"/log; do kill -0 $! 2> /dev/null || exit 1; sleep 0.02; done
kill -INT $!; wait $!; code=$?
cat "$a/log"
echo "exit $code"
r1c plan "$file" --store "$a" "$@"
r1c run "$file" --store "$a" "$@"
r1c run "$file" --store "$b" "$@" -q
cmp "$a"/*/model.safetensors "$b"/*/model.safetensors && echo the same weights
for s in "$a" "$b"; do
  python3 -c 'import json,sys
for l in open(sys.argv[1]): r = json.loads(l); print(r["step"], r["loss"], r["lr"])' "$s"/*/steps.jsonl > "$s/series"
done
cmp "$a/series" "$b/series" && echo the same series
