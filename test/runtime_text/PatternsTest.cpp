#include "TestRules.h"

using nlohmann::json;
using r1rt::text::Verdict;

namespace {

std::string masked(const char *name, const std::string &text) {
  return judge(ruleWith("pattern", {{"name", name}, {"with", "<>"}}), text).text;
}

std::string wrong(const std::string &expression) {
  json rule = ruleWith("regex");
  rule["expression"] = expression;
  return messageOf(rule);
}

} // namespace

TEST(Patterns, Urls) {
  EXPECT_EQ(masked("url", "See https://example.org/a?b=c#d, or (http://x.de/y_(z))."), "See <>, or (<>).");
  EXPECT_EQ(masked("url", "www.example.com! FTP://ftp.example.com/f"), "<>! <>");
  EXPECT_EQ(masked("url", "请访问https://example.cn/路径。谢谢"), "请访问<>路径。谢谢");
  EXPECT_EQ(masked("url", "http://[2001:db8::1]:8080/x http://мир.рф/й"), "<> <>");
  for (const char *none : {"a://b", "xhttp://a.b", "http://", "https://...", "www", "www.", "e.g. this"})
    EXPECT_EQ(masked("url", none), none);
}

TEST(Patterns, Emails) {
  EXPECT_EQ(masked("email", "To: <first.last+tag@mail.example.co.uk>."), "To: <<>>.");
  EXPECT_EQ(masked("email", "邮箱a_b@example.com，谢谢"), "邮箱<>，谢谢");
  for (const char *none : {"@handle", "a@b", "a@b.c", "user@host.", "a @ b.com", "f@x..com"})
    EXPECT_EQ(masked("email", none), none);
}

TEST(Patterns, Phones) {
  for (const char *phone :
       {"+1 212 555 0123", "+44 20 7946 0958", "+49 (0)30 901820", "+8613812345678", "+86 138 1234 5678",
        "13812345678", "138-1234-5678", "010-62345678", "(021) 62345678", "0571-8765 4321", "400-810-1234",
        "(212) 555-0123", "212-555-0123", "010-62345678-123"})
    EXPECT_EQ(masked("phone", std::string("Tel ") + phone + ", ok"), "Tel <>, ok") << phone;
  EXPECT_EQ(masked("phone", "电话13812345678。"), "电话<>。");
  for (const char *none :
       {"1234567890123456", "12812345678", "2023-10-11", "3.14159265358979", "1,234,567,890", "192.168.100.200",
        "ISBN 978-3-16-148410-0", "id213812345678", "13812345678901", "1999 2000 2001", "10:20:30"})
    EXPECT_EQ(masked("phone", none), none) << none;
}

// The check digits are those of GB 11643-1999; 11010519491231002X is its example.
TEST(Patterns, ChineseIdentityNumbers) {
  EXPECT_EQ(masked("chinese_id", "号码11010519491231002X，"), "号码<>，");
  EXPECT_EQ(masked("chinese_id", "440524188001010014 and 11010519491231002x"), "<> and <>");
  for (const char *none : {"110105194912310021", "11010519491331002X", "111010519491231002X", "11010519491231002X1",
                           "110105194912310024"})
    EXPECT_EQ(masked("chinese_id", none), none) << none;
}

TEST(Patterns, InternetAddresses) {
  EXPECT_EQ(masked("ipv4", "from 192.168.0.1:80 to 8.8.8.8."), "from <>:80 to <>.");
  for (const char *none : {"256.1.1.1", "1.2.3", "1.2.3.4.5", "v1.2.3.4", "1.2.3.4a", "01.2.3.4"})
    EXPECT_EQ(masked("ipv4", none), none) << none;
  EXPECT_EQ(masked("ipv6", "fe80::1, [2001:db8:0:0:0:0:2:1]:80; ::1. ::ffff:10.0.0.1."), "<>, [<>]:80; <>. <>.");
  for (const char *none : {"std::string", "a::b", "12:30:45", "::", "1::2::3", "g::1", "Note: this", "0:1:2:3:4:5:6"})
    EXPECT_EQ(masked("ipv6", none), none) << none;
}

TEST(Patterns, AnExpressionIsRe2s) {
  Outcome o = judge(ruleWith("regex", {{"expression", "(?i)\\bCONFIDENTIAL\\b"}, {"name", "secret"}}),
                    "this is confidential.");
  EXPECT_EQ(o.reason(), "secret");
  EXPECT_EQ(judge(ruleWith("regex", {{"expression", "\\p{Han}{3}"}, {"action", "mask"}}), "一二三四").text,
            "<expression>四");
}

TEST(Patterns, WhatRe2LacksIsNamed) {
  EXPECT_EQ(wrong("foo(?=bar)"), "rule 1 (pattern): `expression` has look-ahead, `(?=` at byte 3, which RE2 does not "
                                 "support because it matches in linear time; match what comes after as well");
  EXPECT_NE(wrong("(a)\\1").find("a back-reference, `\\1` at byte 3"), std::string::npos);
  EXPECT_NE(wrong("(?<!x)y").find("look-behind, `(?<!` at byte 0"), std::string::npos);
  EXPECT_NE(wrong("(?<year>[0-9]+)").find("(?P<name>...)"), std::string::npos);
  EXPECT_NE(wrong("(?>a)b").find("an atomic group"), std::string::npos);
  EXPECT_NE(wrong("a++b").find("a possessive quantifier, `++` at byte 1"), std::string::npos);
  EXPECT_NE(wrong("a(b").find("is not a regular expression of RE2: missing )"), std::string::npos);
  // In a class and behind a backslash they mean nothing special.
  EXPECT_EQ(wrong("[(?=]\\(\\?="), "no error");
  EXPECT_NE(wrong("[(?=](").find("missing )"), std::string::npos);
}

TEST(Patterns, WhatWouldMatchEverywhereIsRefused) {
  EXPECT_EQ(wrong("x*"), "rule 1 (pattern): `expression` matches the empty text, and so everywhere; write + instead "
                         "of *, say");
  // An assertion is empty as well, but not of the empty text: it never is a match.
  EXPECT_EQ(judge(ruleWith("regex", {{"expression", "\\b"}}), "a b").verdict.kind, Verdict::keep);
}

TEST(Patterns, KindsAreListed) {
  EXPECT_EQ(messageOf(ruleWith("pattern", {{"name", "fax"}})),
            "rule 1 (pattern): `name` is \"fax\", expected \"url\", \"email\", \"phone\", \"chinese_id\", \"ipv4\" or "
            "\"ipv6\"; a regular expression of your own goes into regex(...)");
}

// Long runs of digits, colons, letters: each kind must stay linear.
TEST(Patterns, LongRunsTakeNoTime) {
  for (const char *name : {"url", "email", "phone", "chinese_id", "ipv4", "ipv6"})
    for (const char *unit : {"1", "1:", "a", "a@", "1.", "http://", "(1", "+1", "0-", ".", ":"}) {
      std::string text;
      while (text.size() < 200000)
        text += unit;
      std::clock_t begin = std::clock();
      masked(name, text);
      EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 2.0) << name << " of " << unit;
    }
}
