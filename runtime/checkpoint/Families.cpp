#include "runtime/checkpoint/Families.h"
#include "runtime/checkpoint/Config.h"
#include <algorithm>

namespace r1rt::checkpoint {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

// ── which tensor holds which parameter ──────────────────────────────────────

const Family gpt2Family = {
    "transformer.",
    "wte.weight",
    {{"table", "wte.weight", Layout::same},
     {"head", "^lm_head.weight", Layout::same},
     {"positions", "wpe.weight", Layout::same},
     {"blocks[*].norm1.g", "h.*.ln_1.weight", Layout::same},
     {"blocks[*].norm1.b", "h.*.ln_1.bias", Layout::same},
     {"blocks[*].attn.q.w", "h.*.attn.c_attn.weight", Layout::first},
     {"blocks[*].attn.k.w", "h.*.attn.c_attn.weight", Layout::second},
     {"blocks[*].attn.v.w", "h.*.attn.c_attn.weight", Layout::third},
     {"blocks[*].attn.q.b", "h.*.attn.c_attn.bias", Layout::first},
     {"blocks[*].attn.k.b", "h.*.attn.c_attn.bias", Layout::second},
     {"blocks[*].attn.v.b", "h.*.attn.c_attn.bias", Layout::third},
     {"blocks[*].attn.o.w", "h.*.attn.c_proj.weight", Layout::same},
     {"blocks[*].attn.o.b", "h.*.attn.c_proj.bias", Layout::same},
     {"blocks[*].norm2.g", "h.*.ln_2.weight", Layout::same},
     {"blocks[*].norm2.b", "h.*.ln_2.bias", Layout::same},
     {"blocks[*].mlp.up.w", "h.*.mlp.c_fc.weight", Layout::same},
     {"blocks[*].mlp.up.b", "h.*.mlp.c_fc.bias", Layout::same},
     {"blocks[*].mlp.down.w", "h.*.mlp.c_proj.weight", Layout::same},
     {"blocks[*].mlp.down.b", "h.*.mlp.c_proj.bias", Layout::same},
     {"norm.g", "ln_f.weight", Layout::same},
     {"norm.b", "ln_f.bias", Layout::same}},
    // The causal mask, which older versions kept as tensors.
    {{"^lm_head.weight", "wte.weight"}, {"h.*.attn.bias", nullptr}, {"h.*.attn.masked_bias", nullptr}}};

const Family llamaFamily = {
    "model.",
    "embed_tokens.weight",
    {{"table", "embed_tokens.weight", Layout::same},
     {"head", "^lm_head.weight", Layout::same},
     {"blocks[*].norm1.g", "layers.*.input_layernorm.weight", Layout::same},
     {"blocks[*].attn.q.w", "layers.*.self_attn.q_proj.weight", Layout::transposed},
     {"blocks[*].attn.q.b", "layers.*.self_attn.q_proj.bias", Layout::same},
     {"blocks[*].attn.k.w", "layers.*.self_attn.k_proj.weight", Layout::transposed},
     {"blocks[*].attn.k.b", "layers.*.self_attn.k_proj.bias", Layout::same},
     {"blocks[*].attn.v.w", "layers.*.self_attn.v_proj.weight", Layout::transposed},
     {"blocks[*].attn.v.b", "layers.*.self_attn.v_proj.bias", Layout::same},
     {"blocks[*].attn.o.w", "layers.*.self_attn.o_proj.weight", Layout::transposed},
     {"blocks[*].attn.o.b", "layers.*.self_attn.o_proj.bias", Layout::same},
     {"blocks[*].attn.q_norm", "layers.*.self_attn.q_norm.weight", Layout::same},
     {"blocks[*].attn.k_norm", "layers.*.self_attn.k_norm.weight", Layout::same},
     {"blocks[*].norm2.g", "layers.*.post_attention_layernorm.weight", Layout::same},
     {"blocks[*].mlp.gate.w", "layers.*.mlp.gate_proj.weight", Layout::transposed},
     {"blocks[*].mlp.gate.b", "layers.*.mlp.gate_proj.bias", Layout::same},
     {"blocks[*].mlp.up.w", "layers.*.mlp.up_proj.weight", Layout::transposed},
     {"blocks[*].mlp.up.b", "layers.*.mlp.up_proj.bias", Layout::same},
     {"blocks[*].mlp.down.w", "layers.*.mlp.down_proj.weight", Layout::transposed},
     {"blocks[*].mlp.down.b", "layers.*.mlp.down_proj.bias", Layout::same},
     {"norm.g", "norm.weight", Layout::same}},
    // The frequencies of the rotary embedding, which older versions kept as tensors.
    {{"^lm_head.weight", "embed_tokens.weight"},
     {"rotary_emb.inv_freq", nullptr},
     {"layers.*.self_attn.rotary_emb.inv_freq", nullptr}}};

// Of the encoder alone; in a masked language model its parameters stand under `body`.
const std::vector<Rule> bertTrunk = {
    {"table", "embeddings.word_embeddings.weight", Layout::same},
    {"positions", "embeddings.position_embeddings.weight", Layout::same},
    {"kinds", "embeddings.token_type_embeddings.weight", Layout::same},
    {"entry.g", "embeddings.LayerNorm.weight", Layout::same},
    {"entry.b", "embeddings.LayerNorm.bias", Layout::same},
    {"blocks[*].attn.q.w", "encoder.layer.*.attention.self.query.weight", Layout::transposed},
    {"blocks[*].attn.q.b", "encoder.layer.*.attention.self.query.bias", Layout::same},
    {"blocks[*].attn.k.w", "encoder.layer.*.attention.self.key.weight", Layout::transposed},
    {"blocks[*].attn.k.b", "encoder.layer.*.attention.self.key.bias", Layout::same},
    {"blocks[*].attn.v.w", "encoder.layer.*.attention.self.value.weight", Layout::transposed},
    {"blocks[*].attn.v.b", "encoder.layer.*.attention.self.value.bias", Layout::same},
    {"blocks[*].attn.o.w", "encoder.layer.*.attention.output.dense.weight", Layout::transposed},
    {"blocks[*].attn.o.b", "encoder.layer.*.attention.output.dense.bias", Layout::same},
    {"blocks[*].norm1.g", "encoder.layer.*.attention.output.LayerNorm.weight", Layout::same},
    {"blocks[*].norm1.b", "encoder.layer.*.attention.output.LayerNorm.bias", Layout::same},
    {"blocks[*].mlp.up.w", "encoder.layer.*.intermediate.dense.weight", Layout::transposed},
    {"blocks[*].mlp.up.b", "encoder.layer.*.intermediate.dense.bias", Layout::same},
    {"blocks[*].mlp.down.w", "encoder.layer.*.output.dense.weight", Layout::transposed},
    {"blocks[*].mlp.down.b", "encoder.layer.*.output.dense.bias", Layout::same},
    {"blocks[*].norm2.g", "encoder.layer.*.output.LayerNorm.weight", Layout::same},
    {"blocks[*].norm2.b", "encoder.layer.*.output.LayerNorm.bias", Layout::same},
    {"pool_w", "pooler.dense.weight", Layout::transposed},
    {"pool_b", "pooler.dense.bias", Layout::same},
    {"dense.w", "^cls.predictions.transform.dense.weight", Layout::transposed},
    {"dense.b", "^cls.predictions.transform.dense.bias", Layout::same},
    {"norm.g", "^cls.predictions.transform.LayerNorm.weight", Layout::same},
    {"norm.b", "^cls.predictions.transform.LayerNorm.bias", Layout::same},
    {"bias", "^cls.predictions.bias", Layout::same}};

const Family bertFamily = {"bert.",
                           "embeddings.word_embeddings.weight",
                           bertTrunk,
                           {{"embeddings.position_ids", nullptr},
                            {"^cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"},
                            {"^cls.predictions.decoder.bias", "^cls.predictions.bias"},
                            {"pooler.dense.weight", nullptr}, // the pooler is of the other task of pre-training
                            {"pooler.dense.bias", nullptr},
                            {"^cls.seq_relationship.weight", nullptr},
                            {"^cls.seq_relationship.bias", nullptr}}};

// ── what activations are called ─────────────────────────────────────────────

struct Activation {
  const char *theirs, *ours;
};
constexpr Activation activations[] = {{"gelu", "gelu"},       {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
                                      {"gelu_fast", "gelu_tanh"}, {"silu", "silu"},          {"swish", "silu"},
                                      {"relu", "relu"}};

ordered_json activation(Config &c, const char *field, const char *otherwise) {
  std::vector<std::string> known = {otherwise};
  for (const Activation &a : activations)
    if (std::string_view(a.theirs) != otherwise)
      known.push_back(a.theirs);
  std::string word = c.word(field, known);
  for (const Activation &a : activations)
    if (word == a.theirs)
      return {{"fn", a.ours}};
  return nullptr;
}

Result<std::string> theirActivation(const ordered_json &fn) {
  for (const Activation &a : activations)
    if (fn.is_object() && fn.value("fn", "") == a.ours)
      return std::string(a.theirs);
  return Status::error("the activation " + shown(fn) + " has no counterpart; gelu, gelu_tanh, silu and relu have",
                       ExitClass::program);
}

// ── configs to models ───────────────────────────────────────────────────────

void heads(Config &c, const char *wide, int64_t D, const char *many, int64_t H) {
  if (c.status.isOk() && D % H)
    c.wrong("`" + std::string(wide) + "` is " + std::to_string(D) + ", which `" + many + "` = " + std::to_string(H) +
            " heads do not divide");
}

void describeGpt2(Config &c, Description &d) {
  d.model = "GPT2";
  d.vocab = c.count("vocab_size");
  d.positions = c.has("n_positions") ? c.count("n_positions") : c.count("n_ctx");
  int64_t D = c.count("n_embd"), H = c.count("n_head");
  heads(c, "n_embd", D, "n_head", H);
  c.only("scale_attn_weights", true);
  c.only("scale_attn_by_inverse_layer_idx", false);
  c.only("add_cross_attention", false);
  d.args = {{"V", d.vocab},
            {"D", D},
            {"L", c.count("n_layer")},
            {"H", H},
            {"T", d.positions},
            {"F", c.count("n_inner", 4 * D)},
            {"eps", c.number("layer_norm_epsilon", 1e-5)},
            {"act", activation(c, "activation_function", "gelu_new")},
            {"tie", c.flag("tie_word_embeddings", true)}};
}

/// The rotary base and the rule for long texts: `rope_parameters`, or `rope_theta` and `rope_scaling` as versions
/// before 5 wrote them.
void rotary(Config &c, Description &d) {
  const json *rope = c.record("rope_parameters");
  if (!rope)
    rope = c.record("rope_scaling");
  double base = c.number("rope_theta", 10000.0);
  ordered_json scaling = nullptr;
  if (rope) {
    Config r(*rope);
    base = r.number("rope_theta", base);
    std::string type = r.word(r.has("rope_type") ? "rope_type" : "type", {"default", "llama3"});
    if (type == "llama3") {
      for (const char *name :
           {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
        if (!r.has(name))
          r.wrong("`" + std::string(name) + "` is missing, which rope_type \"llama3\" needs");
      double low = r.number("low_freq_factor", 1), high = r.number("high_freq_factor", 4);
      if (r.status.isOk() && low >= high)
        r.wrong("`low_freq_factor` is " + shown(low) + ", not below `high_freq_factor` = " + shown(high));
      scaling = {{"factor", r.number("factor", 1)},
                 {"low", low},
                 {"high", high},
                 {"positions", double(r.count("original_max_position_embeddings"))}};
    }
    if (!r.status.isOk())
      c.wrong("in `" + std::string(c.has("rope_parameters") ? "rope_parameters" : "rope_scaling") +
              "`: " + r.status.message());
  }
  c.only("partial_rotary_factor", 1.0);
  d.args["base"] = base;
  d.args["scaling"] = scaling;
}

void describeLlama(Config &c, Description &d) {
  const bool qwen2 = d.type == "qwen2", qwen3 = d.type == "qwen3";
  d.model = "Llama";
  d.vocab = c.count("vocab_size");
  d.positions = c.count("max_position_embeddings", 2048);
  int64_t D = c.count("hidden_size"), H = c.count("num_attention_heads"), G = c.count("num_key_value_heads", H);
  if (!c.has("head_dim") && !qwen3)
    heads(c, "hidden_size", D, "num_attention_heads", H);
  int64_t K = c.count("head_dim", qwen3 ? 128 : std::max<int64_t>(D / H, 1));
  if (c.status.isOk() && H % G)
    c.wrong("`num_attention_heads` is " + std::to_string(H) + ", which `num_key_value_heads` = " + std::to_string(G) +
            " do not divide");
  if (c.status.isOk() && K % 2)
    c.wrong("heads are " + std::to_string(K) + " wide; rotary positions need an even width");
  if (c.status.isOk() && H * K > Config::most)
    c.wrong("`num_attention_heads` = " + std::to_string(H) + " heads of " + std::to_string(K) + " are wider than " +
            std::to_string(Config::most));
  c.word("hidden_act", {"silu"});
  c.only("use_sliding_window", false);
  // Qwen2 names a window that it does not use; elsewhere a window is used.
  if (!c.has("use_sliding_window") && c.has("sliding_window"))
    c.only("sliding_window", nullptr);
  bool bias = c.flag("attention_bias", false);
  d.args = {{"V", d.vocab},
            {"D", D},
            {"L", c.count("num_hidden_layers")},
            {"H", H},
            {"G", G},
            {"F", c.count("intermediate_size")},
            {"tie", c.flag("tie_word_embeddings", false)},
            {"K", K},
            {"eps", c.number("rms_norm_eps", 1e-6)},
            {"bias", qwen2 || bias},
            {"out_bias", !qwen2 && bias},
            {"mlp_bias", d.type == "llama" && c.flag("mlp_bias", false)},
            {"qk_norm", qwen3}};
  rotary(c, d);
}

void describeBert(Config &c, Description &d) {
  d.causal = false;
  d.vocab = c.count("vocab_size");
  d.positions = c.count("max_position_embeddings", 512);
  int64_t D = c.count("hidden_size"), H = c.count("num_attention_heads");
  heads(c, "hidden_size", D, "num_attention_heads", H);
  c.word("position_embedding_type", {"absolute"});
  c.only("is_decoder", false);
  c.only("add_cross_attention", false);
  ordered_json act = activation(c, "hidden_act", "gelu");
  double eps = c.number("layer_norm_eps", 1e-12);
  ordered_json body = {{"V", d.vocab},
                       {"D", D},
                       {"L", c.count("num_hidden_layers")},
                       {"H", H},
                       {"F", c.count("intermediate_size")},
                       {"T", d.positions},
                       {"C", c.count("type_vocab_size", 2)},
                       {"eps", eps},
                       {"act", act},
                       {"pool", false}};
  if (d.model == "Bert") {
    d.args = body;
    return;
  }
  c.only("tie_word_embeddings", true);
  d.args = {{"body", {{"model", "Bert"}, {"args", body}}}, {"eps", eps}, {"act", act}};
}

/// A `model_type`, what its `architectures` may be, and the model that each is.
struct Type {
  const char *type;
  std::vector<std::pair<std::string, const char *>> architectures; // the first is that of a config without any
  void (*describe)(Config &, Description &);
  const Family *family;
};
const std::vector<Type> types = {
    {"gpt2", {{"GPT2LMHeadModel", "GPT2"}}, describeGpt2, &gpt2Family},
    {"llama", {{"LlamaForCausalLM", "Llama"}}, describeLlama, &llamaFamily},
    {"qwen2", {{"Qwen2ForCausalLM", "Llama"}}, describeLlama, &llamaFamily},
    {"qwen3", {{"Qwen3ForCausalLM", "Llama"}}, describeLlama, &llamaFamily},
    {"bert",
     {{"BertModel", "Bert"}, {"BertForMaskedLM", "MaskedLM"}, {"BertForPreTraining", "MaskedLM"}},
     describeBert,
     &bertFamily}};

/// For one that is not known: of the same make by its name, or the nearest by letters.
std::string nearestType(const std::string &name) {
  std::vector<std::string> known;
  std::string best;
  for (const Type &t : types) {
    known.push_back(t.type);
    if (name.find(t.type) != std::string::npos) // qwen3_moe, roberta
      best = t.type;
  }
  for (const char *kin : {"mistral", "mixtral", "gemma", "phi3", "olmo"})
    if (name.starts_with(kin))
      best = "llama";
  return best.empty() ? nearestWord(name, known) : best;
}

// ── models to configs ───────────────────────────────────────────────────────

Status noCounterpart(const std::string &what) {
  return Status::error(what + " has no counterpart in `transformers`; models that have: " + supported(),
                       ExitClass::program);
}

int64_t sizeArg(const ordered_json &args, const char *name) { return args.value(name, int64_t(0)); }

Result<Written> llamaConfig(const ordered_json &args, int64_t positions) {
  const bool bias = args.value("bias", false), out = args.value("out_bias", bias), mlp = args.value("mlp_bias", false),
             norm = args.value("qk_norm", false);
  const char *type = norm ? "qwen3" : bias && !out ? "qwen2" : "llama";
  const char *architecture = norm ? "Qwen3ForCausalLM" : bias && !out ? "Qwen2ForCausalLM" : "LlamaForCausalLM";
  auto flags = [&] {
    return "Llama(bias = " + shown(bias) + ", out_bias = " + shown(out) + ", mlp_bias = " + shown(mlp) +
           ", qk_norm = " + shown(norm) + ")";
  };
  if ((norm && (bias != out || mlp)) || (!norm && bias != out && (mlp || !bias)))
    return noCounterpart(flags());
  int64_t D = sizeArg(args, "D"), H = std::max<int64_t>(sizeArg(args, "H"), 1), K = args.value("K", D / H);
  ordered_json c = {{"architectures", {architecture}},
                    {"model_type", type},
                    {"vocab_size", sizeArg(args, "V")},
                    {"hidden_size", D},
                    {"num_hidden_layers", sizeArg(args, "L")},
                    {"num_attention_heads", H},
                    {"num_key_value_heads", args.value("G", H)},
                    {"head_dim", K},
                    {"intermediate_size", sizeArg(args, "F")},
                    {"hidden_act", "silu"},
                    {"max_position_embeddings", positions},
                    {"rms_norm_eps", args.value("eps", 1e-6)},
                    {"rope_theta", args.value("base", 10000.0)},
                    {"tie_word_embeddings", args.value("tie", false)}};
  if (std::string_view(type) != "qwen2")
    c["attention_bias"] = bias;
  if (std::string_view(type) == "llama")
    c["mlp_bias"] = mlp;
  else
    c["use_sliding_window"] = false;
  if (auto s = args.find("scaling"); s != args.end() && s->is_object())
    c["rope_scaling"] = {{"rope_type", "llama3"},
                         {"factor", s->value("factor", 1.0)},
                         {"low_freq_factor", s->value("low", 1.0)},
                         {"high_freq_factor", s->value("high", 4.0)},
                         {"original_max_position_embeddings", int64_t(s->value("positions", 1.0))}};
  return Written{type, c, true};
}

Result<Written> gpt2Config(const ordered_json &args) {
  R1RT_ASSIGN(std::string act, theirActivation(args.value("act", ordered_json())));
  return Written{"gpt2",
                 {{"architectures", {"GPT2LMHeadModel"}},
                  {"model_type", "gpt2"},
                  {"vocab_size", sizeArg(args, "V")},
                  {"n_embd", sizeArg(args, "D")},
                  {"n_layer", sizeArg(args, "L")},
                  {"n_head", sizeArg(args, "H")},
                  {"n_positions", sizeArg(args, "T")},
                  {"n_inner", sizeArg(args, "F")},
                  {"activation_function", act},
                  {"resid_pdrop", args.value("drop", 0.0)},
                  {"embd_pdrop", args.value("drop", 0.0)},
                  {"attn_pdrop", 0.0}, // attention's weights are not dropped
                  {"layer_norm_epsilon", args.value("eps", 1e-5)},
                  {"tie_word_embeddings", args.value("tie", true)}},
                 true};
}

Result<Written> bertConfig(const ordered_json &args, const char *architecture) {
  R1RT_ASSIGN(std::string act, theirActivation(args.value("act", ordered_json())));
  return Written{"bert",
                 {{"architectures", {architecture}},
                  {"model_type", "bert"},
                  {"vocab_size", sizeArg(args, "V")},
                  {"hidden_size", sizeArg(args, "D")},
                  {"num_hidden_layers", sizeArg(args, "L")},
                  {"num_attention_heads", sizeArg(args, "H")},
                  {"intermediate_size", sizeArg(args, "F")},
                  {"max_position_embeddings", sizeArg(args, "T")},
                  {"type_vocab_size", sizeArg(args, "C")},
                  {"hidden_act", act},
                  {"layer_norm_eps", args.value("eps", 1e-12)},
                  {"tie_word_embeddings", true}},
                 false};
}

} // namespace

// ── the interface ───────────────────────────────────────────────────────────

std::string supported() {
  return "gpt2 (GPT2), llama (Llama, GPT), qwen2 (Qwen2), qwen3 (Qwen3), bert (Bert, MaskedLM of a Bert)";
}

Result<Description> describe(std::string_view text) {
  auto wrong = [](const std::string &what) { return Status::error(what, ExitClass::program); };
  constexpr size_t longest = 16 << 20;
  if (text.size() > longest)
    return wrong("it has " + std::to_string(text.size()) + " bytes; a config has at most " + std::to_string(longest));
  int deepest = 0;
  json root = json::parse(
      text.begin(), text.end(),
      [&](int depth, json::parse_event_t, json &) {
        deepest = std::max(deepest, depth);
        return depth < 64;
      },
      /*allow_exceptions=*/false);
  if (deepest >= 64)
    return wrong("it is nested more than 64 deep");
  if (root.is_discarded() || !root.is_object())
    return wrong(root.is_discarded() ? "it is not JSON" : "it is " + shown(root) + "; a config is a record");
  Config c(root);
  if (!c.has("model_type") || !root["model_type"].is_string())
    return wrong("`model_type` is " + (c.has("model_type") ? shown(root["model_type"]) : "missing") +
                 "; supported are " + supported());
  Description d;
  d.type = root["model_type"];
  auto type = std::find_if(types.begin(), types.end(), [&](const Type &t) { return d.type == t.type; });
  if (type == types.end()) {
    std::string near = nearestType(d.type);
    return wrong("the architecture " + shownName(d.type) + " is not supported; supported are " + supported() +
                 (near.empty() ? "" : "; the nearest is " + near));
  }
  d.model = type->architectures[0].second;
  if (auto a = root.find("architectures"); a != root.end() && !a->is_null()) {
    auto fits = type->architectures.end();
    if (a->is_array() && a->size() == 1 && (*a)[0].is_string())
      fits = std::find_if(type->architectures.begin(), type->architectures.end(),
                          [&](auto &x) { return x.first == (*a)[0].template get_ref<const std::string &>(); });
    if (fits == type->architectures.end()) {
      std::string list;
      for (auto &[name, model] : type->architectures)
        list += (list.empty() ? "" : ", ") + name;
      return wrong("`architectures` is " + shown(*a) + "; of " + d.type + " supported is: " + list);
    }
    d.model = fits->second;
  }
  if (c.has("quantization_config"))
    return wrong("`quantization_config` says that the weights are quantised; only F32, F16 and BF16 weights are read");
  type->describe(c, d);
  R1RT_TRY(c.status);
  return d;
}

const Family &familyOf(const std::string &type) {
  for (const Type &t : types)
    if (type == t.type)
      return *t.family;
  return llamaFamily; // not reached: a description has a known type
}

std::string fullPattern(const char *pattern, const std::string &prefix) {
  return *pattern == '^' ? pattern + 1 : prefix + pattern;
}

std::string numbered(std::string pattern, int64_t layer) {
  if (size_t star = pattern.find('*'); star != std::string::npos)
    pattern.replace(star, 1, std::to_string(layer));
  return pattern;
}

std::optional<int64_t> layerOf(std::string_view pattern, std::string_view name) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos)
    return pattern == name ? std::optional<int64_t>(-1) : std::nullopt;
  std::string_view after = pattern.substr(star + 1);
  if (name.size() <= star + after.size() || name.substr(0, star) != pattern.substr(0, star) || !name.ends_with(after))
    return std::nullopt;
  std::string_view digits = name.substr(star, name.size() - star - after.size());
  if (digits.size() > 9 || (digits.size() > 1 && digits[0] == '0'))
    return std::nullopt;
  int64_t n = 0;
  for (char c : digits) {
    if (c < '0' || c > '9')
      return std::nullopt;
    n = 10 * n + (c - '0');
  }
  return n;
}

std::optional<Found> ruleOf(const Family &family, std::string_view leaf, bool isBody) {
  if (isBody && leaf.starts_with("body."))
    leaf.remove_prefix(5);
  for (const Rule &r : family.rules)
    if (auto layer = layerOf(r.leaf, leaf))
      return Found{&r, *layer};
  return std::nullopt;
}

Result<Written> configOf(const std::string &model, const ordered_json &args, int64_t positions) {
  try {
    if (model == "Llama" || model == "GPT")
      return llamaConfig(args, positions);
    if (model == "GPT2")
      return gpt2Config(args);
    if (model == "Bert")
      return bertConfig(args, "BertModel");
    if (model == "MaskedLM") {
      const ordered_json body = args.value("body", ordered_json::object());
      if (std::string inner = body.value("model", ""); inner != "Bert")
        return noCounterpart("`" + inner + "` in MaskedLM");
      ordered_json inner = body.value("args", ordered_json::object());
      for (const char *shared : {"eps", "act"})
        if (inner.value(shared, ordered_json()) != args.value(shared, ordered_json()))
          return Status::error("MaskedLM has " + std::string(shared) + " = " + shown(args.value(shared, ordered_json())) +
                                   ", its Bert " + shown(inner.value(shared, ordered_json())) +
                                   "; `transformers` has one for both",
                               ExitClass::program);
      return bertConfig(inner, "BertForMaskedLM");
    }
  } catch (const ordered_json::exception &e) {
    return Status::error("the arguments of `" + model + "` are not as expected: " + e.what(), ExitClass::program);
  }
  return noCounterpart("the model `" + model + "`");
}

} // namespace r1rt::checkpoint
