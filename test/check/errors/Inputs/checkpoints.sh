# Folders that do not hold together, made from one of test/checkpoint that does.
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$root/test/check/errors/Inputs/checkpoints.r1" "$work"
cd "$work"
mkdir -p in/none in/pickled in/unknown
for copy in llama layers head shard; do cp -r "$root/test/checkpoint/Inputs/llama" in/$copy; done
cp in/llama/config.json in/none
cp in/llama/config.json in/pickled && touch in/pickled/pytorch_model.bin
echo '{"model_type": "mistral", "architectures": ["MistralForCausalLM"]}' > in/unknown/config.json
sed -i 's/"vocab_size": 40/"vocab_size": 41/' in/llama/config.json
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' in/layers/config.json
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' in/head/config.json
rm in/shard/model-00002-of-*.safetensors
r1-check checkpoints.r1 --elaborate
