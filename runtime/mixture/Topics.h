//===- Topics.h - what documents are about: TF-IDF and k-means ---------------===//
//
// TF-IDF as scikit-learn's TfidfVectorizer has it by default: n documents, df(t) of which hold t;
//
//     idf(t) = ln((1 + n) / (1 + df(t))) + 1,   x(d, t) = count of t in d * idf(t),
//
// and each document's vector is scaled to length 1. Terms are the words of runtime/dedup/Text.h, but two
// Han or kana characters that stand side by side are one term: single ones hardly name a topic.
//
// k-means: Lloyd's iteration from the centres of k-means++ (Arthur and Vassilvitskii, 2007), drawn by
// Philox. The bits of the result do not depend on the number of threads: distances are of one document
// each, and sums over documents are taken in their order.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_MIXTURE_TOPICS_H
#define R1RT_MIXTURE_TOPICS_H
#include "runtime/Status.h"
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::mixture {

/// At most `most` documents out of many: those with the lowest draws of (seed, id). So it does not depend
/// on the order of adding, and parts may be merged in any. Of each the first 16 KiB are kept.
class DocumentSample {
public:
  explicit DocumentSample(size_t most = 5000, uint64_t seed = 0) : most(most), seed(seed) {}
  /// `id` must differ between documents ("FILE@OFFSET").
  void add(std::string_view id, std::string_view text);
  void merge(DocumentSample &&other);
  struct Document {
    uint64_t draw;
    std::string id, text;
    bool operator<(const Document &o) const { return draw != o.draw ? draw < o.draw : id < o.id; }
  };
  /// In the order of their ids.
  std::vector<Document> documents() const;

private:
  size_t most;
  uint64_t seed;
  std::vector<Document> heap; // the highest draw is in front
};

struct SparseVector {
  std::vector<uint32_t> terms; // ascending
  std::vector<double> values;
};

struct TfIdf {
  std::vector<std::string> terms; // sorted
  std::vector<double> idf;
  std::vector<SparseVector> rows; // of length 1, or empty
};

struct TfIdfOptions {
  size_t vocabulary = 4096; // the terms with the most occurrences; of equal ones the first
  uint32_t minDocuments = 1; // terms of fewer documents are left out
  double maxShare = 1;       // and those of more than this share of all
  bool functionWords = true; // if not: without words that carry grammar, English and Chinese, and
                             // words of one letter
};
TfIdf tfIdf(std::span<const std::string_view> texts, const TfIdfOptions &options = {});

struct Clusters {
  std::vector<uint32_t> of;                 // the cluster of each row
  std::vector<std::vector<double>> centres; // dense
  double inertia = 0;                       // sum of squared distances to the centres
  unsigned rounds = 0;
};

/// k centres by k-means++; fewer if there are fewer different rows. Rows must not be empty.
std::vector<std::vector<double>> seedCentres(std::span<const SparseVector> rows, size_t dims, size_t k,
                                             uint64_t seed);
/// Lloyd's iteration until no row changes its cluster, at most `rounds` times; at a tie the lower cluster.
/// A cluster that loses all rows gets the row that lies farthest from its centre.
Clusters kMeans(std::span<const SparseVector> rows, std::vector<std::vector<double>> centres,
                unsigned rounds = 100, unsigned threads = 1);

struct TopicOptions {
  size_t topics = 10;
  size_t terms = 6; // that name a topic
  TfIdfOptions tfIdf{4096, 2, 0.5, false};
  unsigned restarts = 4; // from other first centres; the least inertia counts
  unsigned rounds = 100, threads = 1;
  uint64_t seed = 0;
};
struct Topic {
  std::vector<std::string> terms; // those that its centre has most above the mean of all documents
  uint64_t documents = 0;
  uint32_t nearest = 0; // the document nearest to the centre
};
struct Topics {
  std::vector<Topic> topics;     // by falling number of documents
  std::vector<uint32_t> of;      // the topic of each text, or `none`
  nlohmann::json toJson() const; // [{"terms", "documents", "nearest"}]
  static constexpr uint32_t none = UINT32_MAX; // a text without a term of the vocabulary
};
/// As many topics as asked for, or fewer if there are fewer different documents with terms.
Topics findTopics(std::span<const std::string_view> texts, const TopicOptions &options = {});

} // namespace r1rt::mixture
#endif
