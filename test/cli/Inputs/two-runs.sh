# two-runs.sh STORE FILE
store=$1; file=$2
run() { r1c run "$file" --store "$store" --set budget=2000steps --only gpt > "$store/log$1" 2>&1; }
run 1 & one=$!
until grep -q "gpt  started" "$store/log1" 2> /dev/null; do kill -0 $! 2> /dev/null || exit 1; sleep 0.02; done
run 2 & two=$!
wait $one; a=$?
wait $two; b=$?
echo "exit $a and $b"
echo "gpt was made $(cat "$store"/log? | grep -c 'gpt  done') time and cached $(cat "$store"/log? | grep -c 'gpt  cached') time"
grep -q "another run is making artifact [0-9a-f]*; waiting for it" "$store/log2" && echo waited
cat "$store/log1" "$store/log2"
