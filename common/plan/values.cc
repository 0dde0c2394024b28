#include "common/plan/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>

#include "absl/strings/str_format.h"
#include "common/plan/parse.h"

namespace broadside::plan {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t PowerOfTen(int exponent) {
  int64_t power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// `digits` ÷ 10^`decimals` without trailing zeros.
std::string DecimalText(int64_t digits, int decimals) {
  while (decimals > 0 && digits % 10 == 0) {
    digits /= 10;
    --decimals;
  }
  const int64_t power = PowerOfTen(decimals);
  if (decimals == 0) return std::to_string(digits);
  return absl::StrFormat("%d.%0*d", digits / power, decimals, digits % power);
}

struct Unit {
  std::string_view name;
  int64_t nanos;
};
constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"\xC2\xB5s", 1'000},
                                         {"\xCE\xBCs", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", kNsPerSecond},
                                         {"m", 60 * kNsPerSecond},
                                         {"h", 3600 * kNsPerSecond}}};

std::string DurationHelp(std::string_view text) {
  std::string_view rest = text;
  const auto number = TakeDecimal(rest);
  if (number && rest.empty())
    return absl::StrFormat("%s is not a duration. Write %ss or %sms.", Quoted(text),
                           std::string(text), std::string(text));
  return absl::StrFormat("%s is not a duration. Write 250ms, 1.5s, 10m or 1h30m.", Quoted(text));
}

/// "10k" → the number it means, for the cure in the message.
std::string RateHelp(std::string_view text) {
  std::string_view rest = text;
  std::optional<int64_t> number;
  if (const auto decimal = TakeDecimal(rest)) {
    rest = Trim(rest);
    const int64_t factor = rest == "k" || rest == "K" ? 1000 : rest == "M" ? 1'000'000 : 1;
    if (factor > 1 || rest.empty() || rest == "rps" || rest == "qps")
      number = decimal->Times(factor);
  }
  if (number && *number < 1'000'000'000)
    return absl::StrFormat("%s is not a rate. Write %d/s or %d/min.", Quoted(text), *number,
                           *number * 60);
  return absl::StrFormat("%s is not a rate. Write 100/s or 6000/min.", Quoted(text));
}

/// Damerau-Levenshtein distance without case, in which - and _ are the same.
size_t Distance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    x = x == '-' ? '_' : Lower(x);
    y = y == '-' ? '_' : Lower(y);
    return x == y;
  };
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                          d[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0u : 1u)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::optional<int64_t> Decimal::Times(int64_t unit, bool exact) const {
  const int128 product = static_cast<int128>(digits) * unit;
  const int128 power = PowerOfTen(decimals);
  if (exact && product % power != 0) return {};
  const int128 value = (product + (exact ? 0 : power / 2)) / power;
  if (value > INT64_MAX) return {};
  return static_cast<int64_t>(value);
}

std::optional<Decimal> TakeDecimal(std::string_view& text) {
  Decimal out;
  size_t i = 0;
  int digits = 0;
  for (; i < text.size() && IsDigit(text[i]); ++i, ++digits) {
    if (digits >= 18) return {};
    out.digits = out.digits * 10 + (text[i] - '0');
  }
  if (digits == 0) return {};
  if (i + 1 < text.size() && text[i] == '.' && IsDigit(text[i + 1])) {
    for (++i; i < text.size() && IsDigit(text[i]); ++i, ++digits) {
      if (digits >= 18) return {};
      out.digits = out.digits * 10 + (text[i] - '0');
      ++out.decimals;
    }
  }
  text.remove_prefix(i);
  return out;
}

StatusOr<Nanos> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  int64_t total = 0;
  if (rest.empty()) return InvalidArgument(DurationHelp(text));
  int64_t last_unit = INT64_MAX;
  while (!rest.empty()) {
    const auto number = TakeDecimal(rest);
    if (!number) return InvalidArgument(DurationHelp(text));
    size_t end = 0;
    while (end < rest.size() && !IsDigit(rest[end])) ++end;
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const Unit& u) { return u.name == rest.substr(0, end); });
    if (unit == kUnits.end() || unit->nanos >= last_unit)
      return InvalidArgument(DurationHelp(text));
    const auto value = number->Times(unit->nanos);
    if (!value)
      return InvalidArgument(
          absl::StrFormat("%s is not a whole number of nanoseconds below 2^63.", Quoted(text)));
    if (total > INT64_MAX - *value)
      return InvalidArgument(absl::StrFormat("%s is longer than 292 years.", Quoted(text)));
    total += *value;
    last_unit = unit->nanos;
    rest.remove_prefix(end);
  }
  return Nanos(total);
}

StatusOr<MicroRate> ParseRate(std::string_view text) {
  std::string_view rest = text;
  const auto number = TakeDecimal(rest);
  if (!number || rest.empty()) return InvalidArgument(RateHelp(text));
  rest = Trim(rest);
  if (rest.empty() || rest[0] != '/') return InvalidArgument(RateHelp(text));
  rest = Trim(rest.substr(1));
  int64_t seconds = 0;
  if (rest == "s" || rest == "sec" || rest == "second" || rest == "1s") seconds = 1;
  if (rest == "m" || rest == "min" || rest == "minute") seconds = 60;
  if (rest == "h" || rest == "hour") seconds = 3600;
  if (seconds == 0) return InvalidArgument(RateHelp(text));
  // Rounded to the nearest millionth of a request per second, which "100/min" needs.
  const auto micro = number->Times(rate::kMicroPerUnit * 3600 / seconds, /*exact=*/false);
  if (!micro) return InvalidArgument(Quoted(text) + " is more than 10000000/s.");
  const MicroRate value = (*micro + 1800) / 3600;
  if (value > rate::kMaxMicroRate)
    return InvalidArgument(Quoted(text) + " is more than 10000000/s.");
  return value;
}

StatusOr<Ppm> ParsePercent(std::string_view text) {
  std::string_view rest = text;
  const auto number = TakeDecimal(rest);
  rest = Trim(rest);
  if (number && rest.empty()) {
    // "0.01" may have been meant as a share.
    const auto share = number->decimals > 0 ? number->Times(1'000'000) : std::nullopt;
    return InvalidArgument(
        Quoted(text) + " is not a percentage. Write " + std::string(Trim(text)) + "%" +
        (share && *share <= 1'000'000 ? " or " + PercentText(*share) : "") + ".");
  }
  if (!number || rest != "%")
    return InvalidArgument(Quoted(text) + " is not a percentage. Write 0.1% or 25%.");
  const auto ppm = number->Times(10'000);
  if (!ppm)
    return InvalidArgument(Quoted(text) + " has more than 4 decimals; 0.0001% is the finest.");
  if (*ppm > 1'000'000'000) return InvalidArgument(Quoted(text) + " is more than 100000%.");
  return *ppm;
}

StatusOr<Url> ParseUrl(std::string_view text) {
  const auto error = [&](const std::string& why) {
    return InvalidArgument(Quoted(text) + " is not a URL: " + why +
                           ". Write http://HOST:PORT/PATH.");
  };
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return error("it has no scheme");
  Url url;
  url.scheme = std::string(text.substr(0, colon));
  std::transform(url.scheme.begin(), url.scheme.end(), url.scheme.begin(), Lower);
  if (url.scheme != "http" && url.scheme != "https" && url.scheme != "grpc" &&
      url.scheme != "grpcs")
    return error("the scheme is none of http, https, grpc, grpcs");
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F)
      return error("it holds a space or a control character");
  std::string_view rest = text.substr(colon + 3);
  const size_t authority_end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, authority_end);
  std::string_view path =
      authority_end == std::string_view::npos ? std::string_view() : rest.substr(authority_end);
  if (authority.find('@') != std::string_view::npos)
    return error("a user name in it is not supported, use headers: {authorization: …}");
  url.port = url.scheme == "https" || url.scheme == "grpcs" ? 443 : 80;
  std::string_view host = authority, port;
  if (authority.starts_with("[")) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return error("the ] after the IPv6 address is missing");
    host = authority.substr(1, close - 1);
    std::string_view after = authority.substr(close + 1);
    if (!after.empty() && after[0] != ':') return error("only a port may follow ]");
    if (!after.empty()) port = after.substr(1);
    if (after == ":") return error("the port is missing");
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos ||
        host.find(':') == std::string_view::npos)
      return error("what stands in [ ] is no IPv6 address");
  } else if (const size_t at = authority.find(':'); at != std::string_view::npos) {
    host = authority.substr(0, at);
    port = authority.substr(at + 1);
    if (port.empty()) return error("the port is missing");
    if (port.find(':') != std::string_view::npos) return error("an IPv6 address stands in [ ]");
  }
  if (host.empty()) return error("the host is missing");
  if (host.size() > 253) return error("the host is longer than 253 characters");
  if (!authority.starts_with("[")) {
    for (const char c : host)
      if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '.' && c != '_')
        return error("the host holds " + Quoted(std::string_view(&c, 1)));
  }
  if (!port.empty()) {
    std::string_view digits = port;
    const auto number = TakeDecimal(digits);
    if (!number || !digits.empty() || number->decimals != 0 || number->digits < 1 ||
        number->digits > 65535)
      return error("the port is not 1 … 65535");
    url.port = static_cast<uint16_t>(number->digits);
  }
  url.host = std::string(host);
  path = path.substr(0, path.find('#'));  // a fragment never leaves the client
  url.path = path.empty() || path[0] != '/' ? "/" + std::string(path) : std::string(path);
  return url;
}

std::string DurationText(Nanos value) {
  const int64_t n = value.count();
  if (n > 0 && n % (3600 * kNsPerSecond) == 0)
    return absl::StrFormat("%dh", n / (3600 * kNsPerSecond));
  if (n % kNsPerSecond == 0) return absl::StrFormat("%ds", n / kNsPerSecond);
  if (n % 1'000'000 == 0) return absl::StrFormat("%dms", n / 1'000'000);
  if (n % 1'000 == 0) return absl::StrFormat("%dus", n / 1'000);
  return absl::StrFormat("%dns", n);
}

std::string RateText(MicroRate value) { return DecimalText(value, 6) + "/s"; }

std::string PercentText(Ppm value) { return DecimalText(value, 4) + "%"; }

Status CheckName(std::string_view name) {
  const auto allowed = [](char c) { return IsAlpha(c) || IsDigit(c) || c == '_' || c == '-'; };
  if (name.empty() || name.size() > 64 || !IsAlpha(name[0]) ||
      !std::all_of(name.begin(), name.end(), allowed))
    return InvalidArgument(
        Quoted(name) +
        " is not a name. A name is a letter, then letters, digits, _ or -, at most 64.");
  for (const std::string_view word : {"on", "in", "of", "over", "for"})
    if (name == word)
      return InvalidArgument(
          Quoted(name) + " is a word of the rules and cannot be a name (on, in, of, over, for).");
  return {};
}

std::string Nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > 64) return {};
  const size_t limit = std::max<size_t>(1, std::min<size_t>(word.size() / 3, 3));
  std::string best;
  size_t best_distance = limit + 1;
  for (const std::string& candidate : known) {
    const size_t distance = Distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& known,
                       const std::string& otherwise) {
  const std::string nearest = Nearest(word, known);
  return nearest.empty() ? otherwise : " Did you mean \"" + nearest + "\"?";
}

std::string JoinOr(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (out.size() > 60) {
      // Never cut inside a UTF-8 sequence: messages travel as protobuf strings.
      if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
        out += "…";
        break;
      }
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += absl::StrFormat("\\x%02x", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool IsToken(std::string_view text) {
  const auto allowed = [](char c) {
    return IsAlpha(c) || IsDigit(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

Status CheckHeader(std::string_view name, std::string_view value) {
  if (!IsToken(name))
    return InvalidArgument(Quoted(name) +
                           " is not a header name: letters, digits and !#$%&'*+-.^_`|~ only.");
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  for (const std::string_view own :
       {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te",
        "trailer", "expect", "proxy-connection"})
    if (lower == own)
      return InvalidArgument("header " + Quoted(name) +
                             " is written by Broadside itself; leave it out.");
  if (lower == "broadside-arrival")
    return InvalidArgument("header " + Quoted(name) + " is the stamp; write stamp: true instead.");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F)
      return InvalidArgument(absl::StrFormat(
          "the value of header %s holds the control character 0x%02x.", Quoted(name), byte));
  }
  if (value != Trim(value))
    return InvalidArgument("the value of header " + Quoted(name) +
                           " begins or ends with white space, which HTTP removes.");
  return {};
}

Status CheckHostPort(std::string_view text) {
  if (text.find_first_of("/?#") == std::string_view::npos &&
      text.rfind(':') != std::string_view::npos && !text.ends_with("]") &&
      ParseUrl("http://" + std::string(text)).ok())
    return {};
  return InvalidArgument(Quoted(text) + " is not HOST:PORT.");
}

}  // namespace broadside::plan
