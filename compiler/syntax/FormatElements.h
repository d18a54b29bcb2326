// fmt, step 1: what a file consists of, and where its lines break. Included by Format.cpp only.
#pragma once
#include "compiler/syntax/Lexer.h"
#include "compiler/syntax/Parser.h"
#include <algorithm>

namespace r1::fmt {

/// A token or a comment, in order.
struct Element {
  Tok kind = Tok::End;
  Role role = Role::None;
  bool comment = false, own = false; // a comment; alone on its line
  bool statement = false;            // the lexer ended a statement before it
  bool breakBefore = false, blankBefore = false;
  std::string text;
  uint32_t begin = 0, end = 0; // in the source; 0, 0 for a comma that was added
  int match = -1;              // of a bracket: its partner
  int parent = -1;             // the innermost bracket around it
};

inline bool opens(Tok t) { return t == Tok::LParen || t == Tok::LBracket || t == Tok::LBrace; }
inline bool closes(Tok t) { return t == Tok::RParen || t == Tok::RBracket || t == Tok::RBrace; }

/// Operators that lead a line when they stand at a break.
inline bool leads(Tok t) {
  switch (t) {
  case Tok::PipeRight:
  case Tok::QuestionQuestion:
  case Tok::Or:
  case Tok::And:
  case Tok::Plus:
  case Tok::Star:
  case Tok::Slash:
  case Tok::Dot:
  case Tok::Then:
  case Tok::Else:
    return true;
  default:
    return false;
  }
}

/// Words and signs that stay on the line of what follows them.
inline bool neverLast(const Element &e) {
  switch (e.kind) {
  case Tok::Let:
  case Tok::Fn:
  case Tok::Assert:
  case Tok::Not:
  case Tok::If:
  case Tok::For:
  case Tok::In:
  case Tok::As:
  case Tok::Ellipsis:
    return true;
  default:
    return e.role == Role::Unary;
  }
}

/// The tokens and comments of a file and how they hang together. After `settle` each knows whether
/// it begins a line and whether an empty line is before it.
class Elements {
public:
  Elements(uint32_t id, const SourceManager &sm) : text(sm.file(id).text) {
    TokenStream stream;
    std::vector<Role> roles;
    parseRoles(id, sm, stream, roles);
    gather(stream, roles);
  }

  void settle() {
    moveCommas();
    link();
    moveOperators();
    placeClosers();
    link();
    findBlanks();
  }

protected:
  // ── elements ────────────────────────────────────────────────────────────

  void gather(const TokenStream &stream, const std::vector<Role> &roles) {
    size_t c = 0;
    bool statement = false;
    auto comment = [&](const Comment &k) {
      Element e;
      e.comment = true;
      e.own = k.ownLine;
      e.begin = k.span.begin;
      e.end = k.span.end;
      e.text = text.substr(e.begin, e.end - e.begin);
      add(std::move(e));
    };
    for (size_t i = 0; i < stream.tokens.size(); ++i) {
      const Token &t = stream.tokens[i];
      if (t.kind == Tok::Newline)
        statement = true;
      if (t.kind == Tok::Newline || t.kind == Tok::Doc || t.kind == Tok::FileDoc)
        continue;
      for (; c < stream.comments.size() && stream.comments[c].span.begin <= t.span.begin; ++c)
        comment(stream.comments[c]);
      if (t.kind == Tok::End)
        break;
      Element e;
      e.kind = t.kind;
      e.role = roles[i];
      e.begin = t.span.begin;
      e.end = t.span.end;
      e.text = text.substr(e.begin, e.end - e.begin);
      e.statement = statement && !(!els.empty() && els.back().kind == Tok::Greater &&
                                   els.back().role != Role::BoundClose);
      statement = false;
      add(std::move(e));
    }
    for (; c < stream.comments.size(); ++c)
      comment(stream.comments[c]);
  }

  void add(Element e) {
    if (!els.empty() &&
        (els.back().comment || (e.comment && e.own) || newlines(els.back().end, e.begin) > 0))
      e.breakBefore = true;
    els.push_back(std::move(e));
  }
  int newlines(uint32_t from, uint32_t to) const {
    return from < to ? int(std::count(text.begin() + from, text.begin() + to, '\n')) : 0;
  }

  /// Partners and parents, after elements came or went.
  void link() {
    previous.resize(els.size());
    next.resize(els.size());
    for (int i = 0, last = -1; i < int(els.size()); ++i) {
      previous[size_t(i)] = last;
      last = els[size_t(i)].comment ? last : i;
    }
    for (int i = int(els.size()) - 1, last = -1; i >= 0; --i) {
      next[size_t(i)] = last;
      last = els[size_t(i)].comment ? last : i;
    }
    std::vector<int> open;
    for (int i = 0; i < int(els.size()); ++i) {
      Element &e = els[size_t(i)];
      if (!e.comment && closes(e.kind) && !open.empty()) {
        e.match = open.back();
        els[size_t(open.back())].match = i;
        open.pop_back();
      }
      e.parent = open.empty() ? -1 : open.back();
      if (!e.comment && opens(e.kind))
        open.push_back(i);
    }
  }

  /// The last element before `i` that is no comment, or -1.
  int tokenBefore(int i) const { return previous[size_t(i)]; }

  // ── 1. breaks ───────────────────────────────────────────────────────────

  /// A comma follows what it ends, before any comment.
  void moveCommas() {
    for (int i = 1; i < int(els.size()); ++i) {
      if (els[size_t(i)].comment || els[size_t(i)].kind != Tok::Comma ||
          !els[size_t(i)].breakBefore)
        continue;
      int to = i;
      while (to > 0 && els[size_t(to) - 1].comment)
        --to;
      els[size_t(i)].breakBefore = false;
      if (i + 1 < int(els.size()))
        els[size_t(i) + 1].breakBefore = true;
      std::rotate(els.begin() + to, els.begin() + i, els.begin() + i + 1);
    }
  }

  void moveOperators() {
    for (size_t i = 1; i < els.size(); ++i) {
      Element &e = els[i], &p = els[i - 1];
      if (!e.breakBefore || e.comment || p.comment)
        continue;
      if (neverLast(p)) {
        e.breakBefore = false;
      } else if (leads(p.kind) && p.role == Role::None && i > 1 && !els[i - 2].comment) {
        p.breakBefore = true;
        e.breakBefore = false;
      } else if ((e.kind == Tok::Equal || e.kind == Tok::FatArrow || e.kind == Tok::Arrow ||
                  e.kind == Tok::Colon) &&
                 i + 1 < els.size()) {
        e.breakBefore = false;
        els[i + 1].breakBefore = true;
      }
    }
  }

  bool brokenInside(int open) const {
    for (int i = open + 1; i < els[size_t(open)].match; ++i)
      if (els[size_t(i)].parent == open && !closes(els[size_t(i)].kind) &&
          (els[size_t(i)].breakBefore || els[size_t(i)].comment))
        return true;
    return false;
  }

  /// Where closing brackets stand, and whether a comma is before them.
  void placeClosers() {
    std::vector<Element> out;
    std::vector<int> open; // in `els`
    for (int i = 0; i < int(els.size()); ++i) {
      Element e = els[size_t(i)];
      if (!e.comment && opens(e.kind) && e.role == Role::Braces && i + 1 < e.match)
        if (brokenInside(i) || isBody(i))
          els[size_t(i) + 1].breakBefore = !els[size_t(i) + 1].comment || els[size_t(i) + 1].own;
      if (!e.comment && closes(e.kind)) {
        int o = e.match;
        const Element &b = els[size_t(o)];
        const Element &first = els[size_t(o) + 1];
        bool empty = o + 1 == i;
        bool afterComment = els[size_t(i) - 1].comment;
        bool broken = !empty && (first.breakBefore || first.comment);
        if (b.role == Role::Braces)
          broken = !empty && (broken || brokenInside(o) || isBody(o));
        bool listed =
            b.role == Role::Record || b.role == Role::RecordType || b.role == Role::ListBracket;
        bool alone = afterComment || (broken && (listed || b.role == Role::Braces));
        e.breakBefore = alone;
        e.statement = false;
        size_t last = out.size();
        while (last > 0 && out[last - 1].comment)
          --last;
        bool comma = last > 0 && !out[last - 1].comment && out[last - 1].kind == Tok::Comma;
        if (comma && !alone) {
          out.erase(out.begin() + std::ptrdiff_t(last - 1));
        } else if (!comma && alone && listed && !empty && last > 0 && !opens(out[last - 1].kind)) {
          Element k;
          k.kind = Tok::Comma;
          k.text = ",";
          k.parent = o;
          out.insert(out.begin() + std::ptrdiff_t(last), k);
        }
      }
      out.push_back(std::move(e));
    }
    els = std::move(out);
  }

  /// Is this brace that of a model's or a pipeline's body?
  bool isBody(int open) const {
    int paren = tokenBefore(open);
    if (paren < 0 || els[size_t(paren)].kind != Tok::RParen)
      return false;
    int name = tokenBefore(els[size_t(paren)].match);
    int word = name < 0 ? -1 : tokenBefore(name);
    return word >= 0 && els[size_t(word)].parent == -1 &&
           (els[size_t(word)].text == "model" || els[size_t(word)].text == "pipeline");
  }

  bool startsItem(int i) const {
    const Element &e = els[size_t(i)];
    int before = tokenBefore(i);
    if (before < 0 || before == e.parent)
      return true;
    bool block = e.parent < 0 || els[size_t(e.parent)].role == Role::Braces;
    if (e.comment) {
      // A comment is where the element after it is.
      int after = next[size_t(i)];
      return after < 0 || closes(els[size_t(after)].kind) || startsItem(after);
    }
    if (block)
      return e.statement;
    return els[size_t(before)].kind == Tok::Comma && els[size_t(before)].role != Role::IndexComma;
  }

  /// Empty lines of the source, one for many, where an item or a comment begins.
  void findBlanks() {
    for (size_t i = 1; i < els.size(); ++i) {
      Element &e = els[i];
      const Element &p = els[i - 1];
      bool first = !p.comment && opens(p.kind), last = !e.comment && closes(e.kind);
      bool empty = p.end <= e.begin && newlines(p.end, e.begin) > 1;
      e.blankBefore = e.breakBefore && empty && !first && !last && startsItem(int(i));
    }
  }

  /// What lies between two elements of a line.
  std::string gap(int i) const {
    const Element &a = els[size_t(i) - 1], &b = els[size_t(i)];
    if (closes(b.kind))
      return b.kind == Tok::RBrace && els[size_t(b.match)].role == Role::Braces && b.match + 1 < i
                 ? " "
                 : "";
    switch (b.kind) {
    case Tok::Comma:
    case Tok::Colon:
    case Tok::Dot:
    case Tok::DotDot:
    case Tok::Question:
      return "";
    default:
      break;
    }
    switch (b.role) {
    case Role::CallParen:
    case Role::ParamsParen:
    case Role::FnTypeParen:
    case Role::Subscript:
    case Role::BoundOpen:
    case Role::BoundClose:
      return "";
    default:
      break;
    }
    if (opens(a.kind))
      return a.role == Role::Braces ? " " : "";
    bool tight = a.kind == Tok::Dot || a.kind == Tok::DotDot || a.kind == Tok::Ellipsis ||
                 a.role == Role::Unary || a.role == Role::Attribute || a.role == Role::BoundOpen;
    return tight ? "" : " ";
  }

  /// Elements first..last on one line.
  std::string flat(int first, int last) const {
    std::string s;
    for (int i = first; i <= last; ++i)
      s += (i > first ? gap(i) : "") + els[size_t(i)].text;
    return s;
  }

  int sourceColumn(uint32_t at) const {
    size_t nl = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
    size_t begin = nl == std::string::npos ? 0 : nl + 1;
    return int(columnsOf(std::string_view(text).substr(begin, at - begin)));
  }

  const std::string &text;
  std::vector<Element> els;
  std::vector<int> previous, next; // of each element: the nearest that is no comment, or -1
};

} // namespace r1::fmt
