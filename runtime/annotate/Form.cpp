#include "runtime/annotate/Form.h"
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <set>

namespace r1rt::annotate {

using nlohmann::json;

namespace {

constexpr int64_t mostScores = 1000;

/// One letter that is a command in Ask.h.
bool isCommand(std::string_view typed) {
  return typed.size() == 1 && std::string_view("smuq").find(typed) != std::string_view::npos;
}

bool asInteger(std::string_view text, int64_t &n) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && end == text.data() + text.size();
}

Status wrong(const std::string &field, const std::string &why) {
  return Status::error("the form's field `" + field + "` " + why, ExitClass::program);
}

} // namespace

size_t Field::indexOf(const json &answer) const {
  if (kind == score)
    return answer.is_number_integer() && answer >= low && answer <= high
               ? size_t(answer.get<int64_t>() - low)
               : values();
  const std::string *text = answer.get_ptr<const std::string *>();
  return text ? size_t(std::find(choices.begin(), choices.end(), *text) - choices.begin()) : values();
}

json Field::valueAt(size_t index) const {
  return kind == score ? json(low + int64_t(index)) : json(choices[index]);
}

bool Field::accepts(const json &answer, size_t candidates) const {
  if (kind != rank)
    return indexOf(answer) < values();
  if (!answer.is_array() || answer.size() != candidates)
    return false;
  std::vector<size_t> given;
  for (const json &r : answer) {
    if (!r.is_number_unsigned() && !(r.is_number_integer() && r >= 0))
      return false;
    given.push_back(r.get<size_t>());
  }
  return ranksOf(given) == given;
}

std::vector<size_t> ranksOf(const std::vector<size_t> &badness) {
  std::vector<size_t> out;
  for (size_t b : badness)
    out.push_back(1 + size_t(std::count_if(badness.begin(), badness.end(), [&](size_t x) { return x < b; })));
  return out;
}

Result<json> Field::read(std::string_view typed, size_t candidates) const {
  int64_t n;
  if (kind == score) {
    if (asInteger(typed, n) && n >= low && n <= high)
      return json(n);
    return Status::error("`" + std::string(typed) + "` is no score of `" + name + "`: it is " + help(candidates));
  }
  if (kind == rank) {
    std::vector<size_t> place(candidates, SIZE_MAX);
    size_t next = 0, named = 0;
    bool equal = false, right = true; // an equals sign since the last letter
    for (char c : typed) {
      const size_t which = size_t((c | 32) - 'a');
      if (std::isalpha(static_cast<unsigned char>(c)) && which < candidates && place[which] == SIZE_MAX) {
        next += named && !equal;
        place[which] = next;
        ++named;
        equal = false;
      } else if (c == '=' && named && !equal) {
        equal = true;
      } else if (c != ' ' && c != '>' && c != ',') {
        right = false;
      }
    }
    if (right && named == candidates && !equal)
      return json(ranksOf(place));
    return Status::error("`" + std::string(typed) + "` does not order `" + name + "`: it is " + help(candidates));
  }
  if (auto it = std::find(choices.begin(), choices.end(), typed); it != choices.end())
    return json(*it);
  if (asInteger(typed, n) && n >= 1 && size_t(n) <= choices.size())
    return json(choices[size_t(n) - 1]);
  std::vector<const std::string *> begun;
  if (!typed.empty())
    for (const std::string &c : choices)
      if (c.starts_with(typed))
        begun.push_back(&c);
  if (begun.size() == 1)
    return json(*begun[0]);
  return Status::error("`" + std::string(typed) + "` is " + (begun.empty() ? "no" : "more than one") +
                       " choice of `" + name + "`: it is " + help(candidates));
}

std::string Field::help(size_t candidates) const {
  if (kind == score)
    return std::to_string(low) + " … " + std::to_string(high);
  if (kind == rank)
    return std::string("A … ") + char('A' + candidates - 1) + " from best to worst, such as " +
           (candidates > 2 ? "B > A = C" : "B > A or A = B");
  std::string out;
  for (size_t i = 0; i < choices.size(); ++i)
    out += (i ? "  " : "") + std::to_string(i + 1) + " " + choices[i];
  return out;
}

Result<Form> Form::create(const json &form) {
  if (!form.is_object() || form.empty())
    return Status::error("a form is a record of at least one field, this is " + form.dump(),
                         ExitClass::program);
  Form f;
  for (auto &[name, how] : form.items()) {
    Field field;
    field.name = name;
    if (name == "text" || name.starts_with("_"))
      return wrong(name, "has a name that rows have of their own; give it another");
    if (how == "rank") {
      field.kind = Field::rank;
      f.all.push_back(std::move(field));
      continue;
    }
    if (!how.is_array() || how.size() < 2)
      return wrong(name, "is " + how.dump() + "; a choice is a list of at least two texts, a score a "
                                              "range of whole numbers, an order \"rank\"");
    if (how.size() == 2 && how[0].is_number_integer() && how[1].is_number_integer()) {
      field.kind = Field::score;
      field.low = how[0];
      field.high = how[1];
      if (field.low >= field.high || uint64_t(field.high) - uint64_t(field.low) >= mostScores)
        return wrong(name, "has scores from " + std::to_string(field.low) + " to " +
                               std::to_string(field.high) + "; there can be 2 to " +
                               std::to_string(mostScores));
    } else {
      std::set<std::string> seen;
      for (const json &c : how) {
        if (!c.is_string() || c.get_ref<const std::string &>().empty())
          return wrong(name, "has the choice " + c.dump() + "; a choice is a text that is not empty");
        std::string text = c;
        if (isCommand(text))
          return wrong(name, "has the choice \"" + text + "\", which is a command; give it a longer name");
        if (std::any_of(text.begin(), text.end(), [](unsigned char b) { return b < 32 || b == 127; }))
          return wrong(name, "has a choice with a control character: " + c.dump());
        if (!seen.insert(text).second)
          return wrong(name, "has the choice \"" + text + "\" twice");
        field.choices.push_back(std::move(text));
      }
    }
    f.all.push_back(std::move(field));
  }
  return f;
}

bool Form::ranks() const {
  return std::any_of(all.begin(), all.end(), [](const Field &f) { return f.kind == Field::rank; });
}

Status Form::check(const json &answer, size_t candidates) const {
  if (!answer.is_object())
    return Status::error("an answer is an object of the form's fields, this is " + answer.dump());
  for (const Field &f : all) {
    auto it = answer.find(f.name);
    if (it == answer.end())
      return Status::error("the answer has no `" + f.name + "`");
    if (!f.accepts(*it, candidates))
      return Status::error("the answer " + it->dump() + " to `" + f.name + "` is none of: " + f.help(candidates));
  }
  if (answer.size() != all.size())
    return Status::error("the answer has " + std::to_string(answer.size()) + " fields, the form " +
                         std::to_string(all.size()));
  return Status::ok();
}

json Form::decide(const std::map<std::string, json> &answers) const {
  json out = json::object();
  for (const Field &f : all) {
    if (f.kind == Field::rank) {
      std::vector<size_t> sums;
      for (auto &[who, answer] : answers) {
        sums.resize(answer[f.name].size());
        for (size_t i = 0; i < sums.size(); ++i)
          sums[i] += answer[f.name][i].get<size_t>();
      }
      out[f.name] = ranksOf(sums);
      continue;
    }
    std::vector<size_t> votes;
    for (auto &[who, answer] : answers)
      votes.push_back(f.indexOf(answer[f.name]));
    std::sort(votes.begin(), votes.end());
    size_t best = votes[(votes.size() - 1) / 2]; // the lower median
    if (f.kind == Field::choice) {
      size_t most = 0;
      for (size_t i = 0, j; i < votes.size(); i = j) {
        for (j = i; j < votes.size() && votes[j] == votes[i]; ++j) {
        }
        if (j - i > most)
          most = j - i, best = votes[i];
      }
    }
    out[f.name] = f.valueAt(best);
  }
  return out;
}

} // namespace r1rt::annotate
