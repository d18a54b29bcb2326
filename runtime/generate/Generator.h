//===- Generator.h - continues prompts, many at a time ------------------------===//
//
//   prompts ──► free rows of the decoder ──► tokens, one for each row and step ──► outputs, as they end
//
// A row that has ended is given the next prompt at once. What comes out for a prompt depends on the model,
// the options and the prompt's key only: neither on the prompts beside it nor on the number of rows.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_GENERATE_GENERATOR_H
#define R1RT_GENERATE_GENERATOR_H
#include "runtime/data/Tokenizer.h"
#include "runtime/generate/Decoder.h"
#include "runtime/generate/Sampling.h"
#include <functional>
#include <string>

namespace r1rt::generate {

struct GenerateOptions {
  SampleOptions sample; // as it is made, where there are beams
  int64_t maxNew = 256; // tokens at most, 1 or more
  int64_t minNew = 0;   // before these neither the end of text nor a stop string ends a text
  std::vector<std::string> stop; // texts end before the first of these
  std::vector<int32_t> stopIds;  // tokens that end a text, beside the end of text
  bool stopAtEnd = true;         // does the end of text?

  /// More than 1: beam search. Of the likeliest continuations of all beams, those that end become
  /// hypotheses, with the score  sum of log-probabilities / length ** lengthPenalty  (Wu et al. 2016 have
  /// another denominator); the length counts new tokens, the end included. The best `best` come out.
  int64_t beams = 1, best = 1;
  double lengthPenalty = 1;
  /// When as many hypotheses as beams are there: stop at once; stop when no beam scores better than the worst
  /// of them now; or when none could at maxNew tokens (for a length penalty above 0).
  enum Early { atOnce, whenWorse, never } early = whenWorse;

  /// An error of class `program` that names what is wrong.
  Status check() const;
};

struct Prompt {
  uint64_t number = 0;         // the caller's
  uint64_t key = 0;            // of the draws
  std::vector<int32_t> tokens; // at least one; of more than the context the last ones are read
  std::vector<int32_t> source; // of an encoder and a decoder: what it writes for; else none

  /// A continuation that may follow: nothing is written then, but each choice is an output with its tokens'
  /// log-probabilities, in their order. `tokens` is not read.
  struct Choice {
    std::vector<int32_t> context, tokens; // at least one each; together no more than the context
  };
  std::vector<Choice> choices;
};

/// What a source of prompts has.
enum class Next { prompt, later, end };

struct Output {
  std::vector<int32_t> tokens;  // new ones, with the one that ended the text
  std::vector<float> logprobs;  // of each, by the model itself: without temperature and penalties
  double logprob = 0;           // their sum
  double score = 0;             // of beam search; else `logprob`
  std::string text;             // without the end
  bool stopped = false;         // by the end of text, a stop id or a stop string; else there were maxNew tokens
};

class Generator {
public:
  /// Decoder and tokenizer outlive it. An error if the options are wrong, or beams do not fit the decoder. What is
  /// written for a source ends with the decoder's context, the longest target of the training.
  static Result<Generator> create(Decoder &decoder, const Tokenizer &tokenizer, const GenerateOptions &options);

  /// Takes prompts until there are no more, and gives the outputs of each: one, or the `best` beams, the best
  /// first. `next` may say `later` where it is told not to wait, as there is work left. `goOn` is asked between steps; if it says no, the error is of class `interrupted`. `onText`
  /// is told of pieces of text as they become certain (not of beams).
  Status run(const std::function<Result<Next>(Prompt &prompt, bool wait)> &next,
             const std::function<Status(uint64_t number, std::vector<Output> &&)> &take,
             const std::function<bool()> &goOn = {},
             const std::function<void(uint64_t number, const std::string &piece)> &onText = {});

  /// Tokens drawn so far, of all prompts that have begun.
  uint64_t tokens() const { return drawn; }

private:
  Generator(Decoder &d, const Tokenizer &t, const GenerateOptions &o) : decoder(d), tokenizer(t), options(o) {}

  Decoder &decoder;
  const Tokenizer &tokenizer;
  GenerateOptions options;
  uint64_t drawn = 0;
};

/// Stop strings that are special tokens have no text: they become stop ids.
void addSpecialStops(const Tokenizer &tokenizer, GenerateOptions &options);

/// The prompt's tokens as a text begins in training: end of text, then the text. A tokenizer without an end
/// of text begins an empty one with its first id.
std::vector<int32_t> promptTokens(const Tokenizer &tokenizer, std::string_view text);

/// A prompt and what may follow it as tokens, as evaluations of language models split them (Gao et al., the LM
/// evaluation harness): both are encoded together, and as many tokens as the prompt alone has are the context;
/// blanks at the prompt's end belong to the choice. An empty `tokens` if the choice adds none.
Prompt::Choice choiceOf(const Tokenizer &tokenizer, std::string_view prompt, std::string_view choice);

} // namespace r1rt::generate
#endif
