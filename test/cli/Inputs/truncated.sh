# truncated.sh STORE FILE: cuts files of finished and interrupted artifacts short.
store=$1; file=$2
of() { r1c inspect "$file:$1" --store "$store" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["dir"])'; }
run() { r1c run "$file" --store "$store" "$@"; }
same() { cmp "$1" "$2" && echo the same weights; }

run -q
gpt=$(of gpt); tok=$(of tok)
cp "$gpt/model.safetensors" "$store/whole.safetensors"

echo weights
truncate -s 100 "$gpt/model.safetensors"
r1c plan "$file" --store "$store"
run
same "$gpt/model.safetensors" "$store/whole.safetensors"

echo missing tokenizer
rm "$tok/tokenizer.model"
run

echo checkpoint
long="--set budget=1000000steps --checkpoint-every 20"
r1c run "$file" --store "$store" $long -q > /dev/null 2>&1 &
until ls "$store"/*/checkpoint.previous.safetensors > /dev/null 2>&1; do kill -0 $! 2> /dev/null || exit 1; sleep 0.02; done
kill -INT $!; wait $!; echo "exit $?"
cut=$(dirname "$store"/*/checkpoint.safetensors)
truncate -s 1000 "$cut/checkpoint.safetensors"
r1c run "$file" --store "$store" $long > "$store/log" 2>&1 &
until grep -q "goes on after" "$store/log"; do kill -0 $! 2> /dev/null || exit 1; sleep 0.02; done
kill -INT $!; wait $!
cat "$store/log"
same "$gpt/model.safetensors" "$store/whole.safetensors"

echo object code
rm "$store/kernels"; mkdir "$store/kernels"; cp "$R1_KERNELS"/* "$store/kernels/"
for o in "$store"/kernels/*; do truncate -s 50 "$o"; done
run --fresh gpt
same "$gpt/model.safetensors" "$store/whole.safetensors"

echo inspect
head -c 1000 "$store/whole.safetensors" > "$store/cut.safetensors"
r1c inspect "$store/cut.safetensors"; echo "exit $?"
