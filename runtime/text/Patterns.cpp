//===- Patterns.cpp - the rule `pattern`: kinds of data built in, and RE2 --===//
#include "runtime/text/Action.h"
#include "runtime/text/Chars.h"
#include <algorithm>
#include <arpa/inet.h>
#include <re2/re2.h>

namespace r1rt::text {

namespace {

bool isAsciiWord(char c) { return c > 0 && (isLetter(char32_t(c)) || isDigit(char32_t(c))); }

char at(std::string_view text, size_t i) { return i < text.size() ? text[i] : '\0'; }

size_t digitsIn(std::string_view s) {
  size_t n = 0;
  for (char c : s)
    n += c >= '0' && c <= '9';
  return n;
}

// Each judges what the expression has found, by its surroundings and its digits; it may shorten the match.
// False: it is not one.

/// Punctuation at the end belongs to the sentence, and so does a bracket that is not opened inside.
bool isUrl(std::string_view text, Match &m) {
  if (m.begin > 0 && isAsciiWord(text[m.begin - 1]))
    return false;
  while (m.end > m.begin) {
    char last = text[m.end - 1];
    bool trailing = std::string_view(".,;:!?'*_~").find(last) != std::string_view::npos;
    if (last == ')' || last == ']') {
      std::string_view found = text.substr(m.begin, m.end - m.begin);
      char open = last == ')' ? '(' : '[';
      trailing = std::count(found.begin(), found.end(), last) > std::count(found.begin(), found.end(), open);
    }
    if (!trailing)
      break;
    --m.end;
  }
  std::string_view found = text.substr(m.begin, m.end - m.begin);
  size_t host = found.find("://");
  host = host == found.npos ? 4 : host + 3; // "www."
  return found.size() > host;
}

bool isEmail(std::string_view text, Match &m) {
  return !isAsciiWord(at(text, m.end)) && (m.begin == 0 || text[m.begin - 1] != '@');
}

/// E.164: at most 15 digits. Part of a longer number, of a word or of a decimal fraction it is none.
bool isPhone(std::string_view text, Match &m) {
  std::string_view found = text.substr(m.begin, m.end - m.begin);
  size_t digits = digitsIn(found);
  if (digits < 8 || digits > 15)
    return false;
  char before = m.begin ? text[m.begin - 1] : '\0', after = at(text, m.end);
  auto goesOn = [&](size_t i) { return at(text, i) >= '0' && at(text, i) <= '9'; };
  if (isAsciiWord(before) || isAsciiWord(after) || before == '+' || before == '_' || after == '_')
    return false;
  bool joinedBefore = (before == '.' || before == '-' || before == '/' || before == ',') && m.begin >= 2 &&
                      goesOn(m.begin - 2);
  bool joinedAfter = (after == '.' || after == '-' || after == '/' || after == ',') && goesOn(m.end + 1);
  return !joinedBefore && !joinedAfter;
}

/// The last digit of a Chinese identity number: ISO 7064, MOD 11-2 (GB 11643-1999).
bool isChineseId(std::string_view text, Match &m) {
  if ((m.begin && isAsciiWord(text[m.begin - 1])) || isAsciiWord(at(text, m.end)))
    return false;
  static constexpr int weights[17] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
  int sum = 0;
  for (size_t i = 0; i < 17; ++i)
    sum += (text[m.begin + i] - '0') * weights[i];
  char check = text[m.begin + 17];
  return "10X98765432"[sum % 11] == (check == 'x' ? 'X' : check);
}

bool isIpv4(std::string_view text, Match &m) {
  bool before = m.begin && (isAsciiWord(text[m.begin - 1]) || text[m.begin - 1] == '.');
  bool after = isAsciiWord(at(text, m.end)) || (at(text, m.end) == '.' && isDigit(char32_t(
                                                    static_cast<unsigned char>(at(text, m.end + 1)))));
  return !before && !after;
}

/// Of at least 4 groups, or with a digit: "a::b" is rather a name in a program.
bool isIpv6(std::string_view text, Match &m) {
  char before = m.begin ? text[m.begin - 1] : '\0', after = at(text, m.end);
  if (isAsciiWord(before) || before == ':' || isAsciiWord(after) || after == ':')
    return false;
  // Punctuation of the sentence.
  while (text[m.end - 1] == '.')
    --m.end;
  if (text[m.end - 1] == ':' && text[m.end - 2] != ':')
    --m.end;
  std::string found(text.substr(m.begin, m.end - m.begin));
  unsigned char address[16];
  return inet_pton(AF_INET6, found.c_str(), address) == 1 &&
         (digitsIn(found) > 0 || std::count(found.begin(), found.end(), ':') >= 3);
}

// Each says whether a text may have a match at all, faster than RE2 does: most have none.

bool isDigitAt(std::string_view text, size_t i) { return at(text, i) >= '0' && at(text, i) <= '9'; }

/// "://" or "www.".
bool mayHaveUrl(std::string_view text) {
  for (size_t i = text.find(':'); i != text.npos; i = text.find(':', i + 1))
    if (at(text, i + 1) == '/' && at(text, i + 2) == '/')
      return true;
  for (size_t i = text.find('.'); i != text.npos; i = text.find('.', i + 1))
    if (i >= 3 && (text[i - 1] | 32) == 'w' && (text[i - 2] | 32) == 'w' && (text[i - 3] | 32) == 'w')
      return true;
  return false;
}

bool mayHaveEmail(std::string_view text) { return text.find('@') != text.npos; }

/// Eight digits with at most two characters between each two.
bool mayHavePhone(std::string_view text) {
  size_t digits = 0, gap = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9') {
      digits = gap > 2 ? 1 : digits + 1;
      gap = 0;
      if (digits == 8)
        return true;
    } else {
      ++gap;
    }
  }
  return false;
}

/// 17 digits in a row: of any 17 characters the last is one of them, so most are not looked at.
bool mayHaveChineseId(std::string_view text) {
  for (size_t last = 16; last < text.size();) {
    size_t first = last;
    while (isDigitAt(text, first) && last - first < 16)
      --first;
    if (isDigitAt(text, first))
      return true;
    last = first + 17;
  }
  return false;
}

/// A point between two digits.
bool mayHaveIpv4(std::string_view text) {
  for (size_t i = text.find('.'); i != text.npos; i = text.find('.', i + 1))
    if (i > 0 && isDigitAt(text, i - 1) && isDigitAt(text, i + 1))
      return true;
  return false;
}

/// Two colons with at most four characters between them.
bool mayHaveIpv6(std::string_view text) {
  size_t last = text.npos;
  for (size_t i = text.find(':'); i != text.npos; last = i, i = text.find(':', i + 1))
    if (last != text.npos && i - last <= 5)
      return true;
  return false;
}

struct Kind {
  const char *name;
  bool (*judge)(std::string_view text, Match &m);
  bool (*mayHave)(std::string_view text);
  const char *expression;
};

/// As bytes but for URLs, which may have letters of European scripts.
const Kind kinds[] = {
    {"url", isUrl, mayHaveUrl,
     R"((?i)(?:(?:https?|ftps?)://|www\.)[a-z0-9\p{Latin}\p{Greek}\p{Cyrillic}\-._~:/?#\[\]@!$&'()*+,;=%]+)"},
    {"email", isEmail, mayHaveEmail,
     R"([A-Za-z0-9._%+\-]*[A-Za-z0-9_%+\-]@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,})"},
    // International; Chinese mobile, landline, service; North American.
    {"phone", isPhone, mayHavePhone,
     R"(\+[1-9]\d{0,2}[ \-.]?(?:\(\d{1,4}\)[ \-.]?)?\d{1,4}(?:[ \-.]?\d{2,4}){1,4})"
     R"(|(?:(?:\(?86\)?)[ \-]?)?1[3-9]\d[ \-]?\d{4}[ \-]?\d{4})"
     R"(|(?:\(0[1-9]\d{1,2}\)|0[1-9]\d{1,2})[ \-]?[2-9]\d{2,3}[ \-]?\d{4}(?:-\d{1,5})?)"
     R"(|[48]00[ \-]\d{3}[ \-]\d{4}|(?:\(\d{3}\) ?|\d{3}[\-. ])\d{3}[\-.]\d{4})"},
    {"chinese_id", isChineseId, mayHaveChineseId,
     R"([1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx])"},
    {"ipv4", isIpv4, mayHaveIpv4,
     R"((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))"},
    {"ipv6", isIpv6, mayHaveIpv6, R"((?:[0-9A-Fa-f]{0,4}:){2,8}[0-9A-Fa-f.]{0,15})"},
};

class Pattern : public Rule {
public:
  std::string reason;
  Action action;
  const Kind *kind = nullptr; // null: the user's expression
  std::unique_ptr<RE2> expression;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    if (kind && !kind->mayHave(text))
      return {};
    std::vector<Match> matches;
    re2::StringPiece whole(text.data(), text.size()), found;
    for (size_t from = 0; from < text.size();) {
      if (!expression->Match(whole, from, text.size(), RE2::UNANCHORED, &found, 1))
        break;
      size_t begin = size_t(found.data() - text.data()), end = begin + found.size();
      Match m{begin, end};
      if (found.empty()) {
        from = end + 1;
      } else if (!kind || kind->judge(text, m)) {
        matches.push_back(m);
        from = m.end;
      } else {
        from = behind(text, begin);
      }
    }
    return action.apply(reason, matches, text);
  }

private:
  /// Where to go on after a match that is none: behind the word it begins in, since what begins inside of a word
  /// is none either.
  static size_t behind(std::string_view text, size_t begin) {
    size_t i = begin;
    while (i < text.size() && isAsciiWord(text[i]))
      ++i;
    return std::max(i, begin + 1);
  }
};

/// Why RE2 refuses an expression that other libraries take, and what to write instead; "" if that is
/// not it.
std::string unsupported(const std::string &expression) {
  struct Part {
    const char *text, *name, *instead;
  };
  static const Part parts[] = {
      {"(?<=", "look-behind", "match what comes before as well"},
      {"(?<!", "look-behind", "match what comes before as well, or use pattern(...) for a built-in kind"},
      {"(?=", "look-ahead", "match what comes after as well"},
      {"(?!", "look-ahead", "name what may come after instead, with a class like [^x]"},
      {"(?>", "an atomic group", "write (?:...); RE2 never backtracks, so nothing is lost"},
      {"(?#", "a comment", "leave it out"},
      {"(?R", "recursion", "name the nesting that you expect, level by level"},
      {"(?(", "a condition", "write both alternatives with |"},
      {"(?<", "a group named (?<name>...)", "write (?:...), or (?P<name>...)"},
      {"\\K", "\\K", "match without it; what is matched is what is masked"},
      {"\\G", "\\G", "leave it out"},
  };
  size_t best = expression.size();
  std::string message;
  auto note = [&](size_t place, const std::string &text, const std::string &name, const std::string &instead) {
    if (place >= best)
      return;
    best = place;
    message = "has " + name + ", `" + text + "` at byte " + std::to_string(place) +
              ", which RE2 does not support because it matches in linear time; " + instead;
  };
  bool inClass = false;
  for (size_t i = 0; i < expression.size(); ++i) {
    char c = expression[i];
    if (c == '\\') {
      char next = at(expression, i + 1);
      if (!inClass && next >= '1' && next <= '9')
        note(i, expression.substr(i, 2), "a back-reference", "write out what the group may have matched");
      for (const Part &p : parts)
        if (p.text[0] == '\\' && !inClass && next == p.text[1])
          note(i, p.text, p.name, p.instead);
      ++i;
    } else if (inClass) {
      inClass = c != ']';
    } else if (c == '[') {
      inClass = true;
      i += at(expression, i + 1) == '^';
      i += at(expression, i + 1) == ']';
    } else if (c == '(') {
      for (const Part &p : parts)
        if (std::string_view(expression).substr(i).starts_with(p.text))
          note(i, p.text, p.name, p.instead);
    } else if (c == '+' && i > 0 && std::string_view("*+?}").find(expression[i - 1]) != std::string_view::npos) {
      note(i - 1, expression.substr(i - 1, 2), "a possessive quantifier",
           "drop the second +; RE2 never backtracks, so nothing is lost");
    }
  }
  return message;
}

} // namespace

RulePtr makePattern(Params &p) {
  auto r = std::make_shared<Pattern>();
  std::optional<std::string> name = p.optionalText("name"), expression = p.optionalText("expression");
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(64 << 20);
  if (expression) {
    r->reason = name.value_or("expression");
    r->expression = std::make_unique<RE2>(*expression, options);
    if (!r->expression->ok()) {
      std::string why = unsupported(*expression);
      p.fail("expression",
             why.empty() ? "is not a regular expression of RE2: " + r->expression->error() : why);
    } else if (RE2::FullMatch("", *r->expression)) {
      p.fail("expression", "matches the empty text, and so everywhere; write + instead of *, say");
    }
  } else {
    std::vector<std::string> names;
    for (const Kind &k : kinds) {
      names.push_back(k.name);
      if (name == k.name)
        r->kind = &k;
    }
    if (!r->kind) {
      p.fail("name", "is " + (name ? "\"" + *name + "\"" : std::string("none")) + ", expected " +
                         listed(names) + "; a regular expression of your own goes into regex(...)");
    } else {
      options.set_encoding(r->kind->judge == isUrl ? RE2::Options::EncodingUTF8
                                                   : RE2::Options::EncodingLatin1);
      r->reason = *name;
      r->expression = std::make_unique<RE2>(r->kind->expression, options);
    }
  }
  r->action = Action::read(p, "<" + r->reason + ">");
  return r;
}

} // namespace r1rt::text
