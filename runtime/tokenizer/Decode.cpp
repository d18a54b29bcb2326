#include "runtime/tokenizer/Decode.h"
#include "runtime/text/Utf8.h"
#include "runtime/tokenizer/Chars.h"

namespace r1rt::tokenizer {

namespace {

void replaceAll(std::string &s, std::string_view what, std::string_view with) {
  for (size_t at = 0; !what.empty() && (at = s.find(what, at)) != s.npos; at += with.size())
    s.replace(at, what.size(), with);
}

/// The byte of "<0xE2>", or -1.
int spelledByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return -1;
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]), low = digit(token[4]); // the package reads a sign
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string asBytes(const std::string &token) {
  std::string bytes;
  return tokenBytes(token, bytes) ? bytes : token;
}

void cleanUp(std::string &s) {
  static constexpr std::string_view pairs[][2] = {
      {" .", "."},     {" ?", "?"},     {" !", "!"},           {" ,", ","},   {" ' ", "'"},  {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto &[what, with] : pairs)
    replaceAll(s, what, with);
}

void strip(std::string &s, const Decoder &step) {
  for (uint64_t n = 0; n < step.start && !step.what.empty() && s.starts_with(step.what); ++n)
    s.erase(0, step.what.size());
  for (uint64_t n = 0; n < step.stop && !step.what.empty() && s.ends_with(step.what); ++n)
    s.erase(s.size() - step.what.size());
}

/// Bytes in a row are characters, or if they are not UTF-8 each is U+FFFD.
std::vector<std::string> withBytes(const std::vector<std::string> &tokens) {
  std::vector<std::string> out;
  std::string bytes;
  auto flush = [&] {
    if (bytes.empty())
      return;
    if (text::findBadUtf8(bytes) == std::string::npos)
      out.push_back(bytes);
    else
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    bytes.clear();
  };
  for (const std::string &token : tokens) {
    if (int b = spelledByte(token); b >= 0) {
      bytes += char(b);
      continue;
    }
    flush();
    out.push_back(token);
  }
  flush();
  return out;
}

std::string joined(const std::vector<std::string> &tokens, std::string_view between = "") {
  std::string out;
  for (const std::string &token : tokens) {
    if (!out.empty() || &token != tokens.data())
      out += between;
    out += token;
  }
  return out;
}

} // namespace

std::string decodeTokens(const std::vector<Decoder> &steps, std::vector<std::string> tokens) {
  if (steps.empty())
    return joined(tokens, " ");
  for (const Decoder &step : steps) {
    switch (step.kind) {
    case Decoder::byteLevel: {
      std::string bytes;
      for (const std::string &token : tokens)
        bytes += asBytes(token);
      text::repairUtf8(bytes);
      tokens.assign(1, std::move(bytes));
      break;
    }
    case Decoder::fuse:
      tokens.assign(1, joined(tokens));
      break;
    case Decoder::byteFallback:
      tokens = withBytes(tokens);
      break;
    default:
      for (size_t i = 0; i < tokens.size(); ++i) {
        std::string &token = tokens[i];
        if (step.kind == Decoder::wordPiece) {
          if (i > 0)
            token = token.starts_with(step.what) ? token.substr(step.what.size()) : " " + token;
          if (step.cleanUp)
            cleanUp(token);
        } else if (step.kind == Decoder::metaspace) {
          replaceAll(token, step.what, i == 0 && step.first ? "" : " ");
        } else if (step.kind == Decoder::bpe) {
          replaceAll(token, step.what, i + 1 == tokens.size() ? "" : " ");
        } else if (step.kind == Decoder::strip) {
          strip(token, step);
        } else {
          replaceAll(token, step.what, step.with);
        }
      }
    }
  }
  return joined(tokens);
}

std::string decodeAlone(const std::vector<Decoder> &steps, std::string_view token) {
  std::string out(token);
  if (steps.empty())
    return " " + out;
  for (const Decoder &step : steps) {
    switch (step.kind) {
    case Decoder::byteLevel:
      out = asBytes(out);
      break;
    case Decoder::byteFallback:
      if (int b = spelledByte(out); b >= 0)
        return std::string(1, char(b));
      break;
    case Decoder::wordPiece:
      out = out.starts_with(step.what) ? out.substr(step.what.size()) : " " + out;
      if (step.cleanUp)
        cleanUp(out);
      break;
    case Decoder::metaspace:
    case Decoder::bpe:
      replaceAll(out, step.what, " ");
      break;
    case Decoder::replace:
      replaceAll(out, step.what, step.with);
      break;
    case Decoder::strip: // of the whole text, as it is used: what comes before this token is not known
    case Decoder::fuse:
      break;
    }
  }
  return out;
}

} // namespace r1rt::tokenizer
