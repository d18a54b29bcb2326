//===- Safetensors.h - tensors by name in one file -------------------------===//
//
// Files from elsewhere are hostile input: every declared size is checked against the file
// before anything is allocated or read.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STATE_SAFETENSORS_H
#define R1RT_STATE_SAFETENSORS_H
#include "runtime/state/Files.h"
#include <map>
#include <vector>

namespace r1rt {

struct TensorView {
  std::string name;
  std::string dtype; // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::string_view data; // little endian, row-major; not necessarily aligned
};

/// The tensors of a file's content, as views into it. Does no I/O.
struct SafetensorsIndex {
  std::vector<TensorView> tensors; // in order of position
  std::map<std::string, std::string> metadata;
  const TensorView *find(std::string_view name) const;
  static Result<SafetensorsIndex> parse(std::string_view content);
};

class SafetensorsFile {
public:
  static Result<SafetensorsFile> open(const std::string &path);
  const SafetensorsIndex &index() const { return idx; }
  const TensorView *find(std::string_view name) const { return idx.find(name); }
  /// Gives the memory back that reading `t` took; it can be read again.
  void release(const TensorView &t) const { file.release(t.data); }

private:
  MappedFile file;
  SafetensorsIndex idx;
};

/// Writes atomically, tensors in the given order, which must be distinct names.
Status writeSafetensors(const std::string &path, const std::vector<TensorView> &tensors,
                        const std::map<std::string, std::string> &metadata = {});

/// What a file of tensors of these types and shapes begins with, up to the data, which is not looked at.
Result<std::string> safetensorsHeader(const std::vector<TensorView> &tensors,
                                      const std::map<std::string, std::string> &metadata = {});

/// XXH64 of the tensors' bytes in the order given, as decimal digits: what r1c keeps in the metadata
/// of its own files as "xxh64". `file`: where the tensors lie, if in a file; its memory is given back.
std::string hashOf(const std::vector<TensorView> &tensors, const SafetensorsFile *file = nullptr);
/// Fails if the file's metadata has a hash and the tensors have another one. Files without a hash
/// come from other programs and pass.
Status checkHash(const SafetensorsFile &file, const std::string &path);

/// "[2, 3]"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace r1rt
#endif
