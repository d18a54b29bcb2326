//===- Checkpoint.h - models as Hugging Face's `transformers` keeps them ----===//
//
//   DIR/config.json                        the architecture and its sizes
//   DIR/model.safetensors                  the weights; or, in shards,
//   DIR/model.safetensors.index.json       {"weight_map": {TENSOR: FILE}}, and the files it names
//
// Folders come from elsewhere and are hostile input: what a file declares is checked against its size and
// against the other files before anything is allocated, and pickled weights are not read.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CHECKPOINT_CHECKPOINT_H
#define R1RT_CHECKPOINT_CHECKPOINT_H
#include "runtime/state/Safetensors.h"
#include <memory>
#include <nlohmann/json.hpp>

namespace r1rt::checkpoint {

/// A model of the library, as a config.json describes it.
struct Description {
  std::string type;  // "model_type" of the config: "llama"
  std::string model; // the model of stdlib/models.r1 or stdlib/encoder.r1: "Llama"
  /// Arguments of that model by name: numbers, booleans, null, records, and {"fn": NAME} for a function of
  /// the library. Every size is 1 to 2^24, so that the model can be built before a weight is looked at.
  nlohmann::ordered_json args;
  int64_t vocab = 0;     // ids of the table
  bool causal = true;    // it generates; else it sees both directions
  int64_t positions = 0; // the longest text that it was made for
};

/// Reads a config.json. The error names the field, what it says, and what would do.
Result<Description> describe(std::string_view config);

/// Reads a model.safetensors.index.json: the file of each tensor, by name. Files lie in the same folder.
Result<std::map<std::string, std::string>> parseIndex(std::string_view index);

/// A parameter of ours.
struct Leaf {
  std::string path;           // "blocks[0].attn.q.w"
  std::vector<int64_t> shape; // of f32, row-major
};

/// A folder whose files have been opened and agree with each other.
class Folder {
public:
  static Result<Folder> open(const std::string &dir);

  const Description &description() const { return about; }
  /// All files that the model is made from: the config, the index, the shards. For fingerprints.
  const std::vector<std::string> &files() const { return paths; }
  /// DIR/tokenizer.json, if it is there; else "".
  const std::string &tokenizer() const { return tokenizerPath; }

  /// Every leaf finds its tensor with the shape and a type that can be read (F32, F16, BF16), and every
  /// tensor is used, but for those that are known to be copies or no part of the model. Else an error that
  /// names tensor, both shapes and the file.
  Status match(const std::vector<Leaf> &leaves) const;

  /// Writes the leaves to `path` as r1c keeps weights: F32 by leaf path, with a hash. What is in 16 bits is
  /// widened exactly. Memory: a block of some MiB, and the mapping of one tensor at a time.
  Status convert(const std::vector<Leaf> &leaves, const std::string &path,
                 std::map<std::string, std::string> metadata) const;

private:
  struct Shard {
    std::string path;
    SafetensorsFile file;
  };
  struct Found {
    const TensorView *tensor;
    const Shard *shard;
  };
  friend class Matcher;
  Status readIndex(const std::string &index);
  Status addShard(const std::string &path);

  std::string dir, tokenizerPath;
  Description about;
  std::vector<std::string> paths;
  std::vector<std::unique_ptr<Shard>> shards;
  std::map<std::string, Found, std::less<>> tensors;
};

/// What `transformers` loads, from a model of the library.
struct Export {
  std::string model;           // "Llama"
  nlohmann::ordered_json args; // as in Description
  std::string weights;         // a file as Folder::convert writes it
  std::vector<Leaf> leaves;
  uint64_t shardBytes = 5'000'000'000; // a larger file of weights is cut into shards of at most this
  /// Ids for config.json and generation_config.json; negative: none.
  int32_t bos = -1, eos = -1, pad = -1;
  int64_t positions = 0; // of models that have no table of them
};
/// What `write` would refuse before it writes: a model, an argument or a parameter without counterpart, and a
/// `dir` that has a model already.
Status canWrite(const Export &job, const std::string &dir);
/// Writes config.json, generation_config.json (of models that generate) and the weights into `dir`, which is
/// made if need be. config.json comes last: a folder with one is complete. A model or an argument without
/// counterpart is an error that names it.
Status write(const Export &job, const std::string &dir);

/// The models that can be read and written: "gpt2 (GPT2), llama (Llama), …".
std::string supported();

} // namespace r1rt::checkpoint
#endif
