#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/int128.h"
#include "common/base/status.h"
#include "common/plan/plan.h"

/// Small values and words, read exactly: decimals become integers, never doubles.
namespace broadside::plan {

/// An unsigned decimal "12", "0.5", "1.250": `digits` ÷ 10^`decimals`. At most 18 digits.
struct Decimal {
  int64_t digits = 0;
  int decimals = 0;
  /// This times `unit`, if that is a whole number in 63 bits; `exact` false rounds half up.
  std::optional<int64_t> Times(int64_t unit, bool exact = true) const;
};
/// Takes the decimal at the front of `text` off it; empty if there is none or it is too long.
std::optional<Decimal> TakeDecimal(std::string_view& text);

/// "1500ms", "250ms", "90s", "24h": a text that ParseDuration reads back to `value`.
std::string DurationText(Nanos value);
/// "1500/s", "0.5/s", "0.016667/s".
std::string RateText(MicroRate value);
/// "2%", "99.9%".
std::string PercentText(Ppm value);

/// [A-Za-z][A-Za-z0-9_-]*, at most 64 characters, none of the rule grammar's words.
Status CheckName(std::string_view name);
/// The word of `known` that someone who wrote `word` most likely meant; empty if none is near.
std::string Nearest(std::string_view word, const std::vector<std::string>& known);
/// " Did you mean "x"?" or `otherwise`.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& known,
                       const std::string& otherwise);
/// "a, b or c".
std::string JoinOr(const std::vector<std::string>& words);
/// What a user wrote, for a message: quoted, control characters escaped, at most 60 bytes.
std::string Quoted(std::string_view text);

std::string_view Trim(std::string_view text);
/// A token of RFC 9110: what a method or a header name is made of.
bool IsToken(std::string_view text);
/// Name and value as HTTP allows them, and not one that the client writes itself.
Status CheckHeader(std::string_view name, std::string_view value);
/// HOST:PORT, [IPv6]:PORT.
Status CheckHostPort(std::string_view text);

}  // namespace broadside::plan
