#include "common/report/format.h"

#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"

namespace broadside::report {
namespace {

/// Commas into the digits before the point.
std::string Group(std::string digits) {
  const size_t point = digits.find('.');
  const size_t first = !digits.empty() && digits[0] == '-' ? 1 : 0;
  size_t at = point == std::string::npos ? digits.size() : point;
  while (at > first + 3) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

/// Three significant digits, no exponent; from 1,000 on whole numbers.
std::string Significant(double value) {
  const double size = std::fabs(value);
  int decimals = 0;
  // The bounds stand where rounding would add a digit: 9.996 reads 10.0.
  if (size < 0.0995) {
    decimals = size == 0 ? 0 : 4;
  } else if (size < 0.9995) {
    decimals = 3;
  } else if (size < 9.995) {
    decimals = 2;
  } else if (size < 99.95) {
    decimals = 1;
  }
  return Group(absl::StrFormat("%.*f", decimals, value));
}

struct Unit {
  double size;
  const char* name;
};

/// `value` in the largest unit in which it rounds to at least 1.
std::pair<double, const char*> Scale(double value, const Unit* units, size_t count) {
  for (size_t i = 0; i + 1 < count; ++i) {
    if (std::fabs(value) >= units[i].size * 0.9995) return {value / units[i].size, units[i].name};
  }
  return {value / units[count - 1].size, units[count - 1].name};
}

constexpr std::array<Unit, 4> kTimes = {{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}}};
constexpr std::array<Unit, 5> kBytes = {
    {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}}};

std::string CutZeros(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

constexpr std::string_view kNone = "–";

/// Length of the colour code at `at`, 0 if there is none.
size_t EscapeLength(std::string_view text, size_t at) {
  if (text[at] != '\x1b' || at + 1 >= text.size() || text[at + 1] != '[') return 0;
  const size_t end = text.find_first_not_of("0123456789;", at + 2);
  return end == std::string_view::npos ? text.size() - at : end + 1 - at;
}

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

std::string FormatDuration(int64_t nanos) {
  const auto [value, unit] = Scale(static_cast<double>(nanos), kTimes.data(), kTimes.size());
  // Below a microsecond the integer itself is the exact answer.
  if (std::string_view(unit) == "ns") return absl::StrFormat("%d ns", nanos);
  return Significant(value) + " " + unit;
}

std::string FormatDurationShort(int64_t nanos) {
  const auto [value, unit] = Scale(static_cast<double>(nanos), kTimes.data(), kTimes.size());
  return CutZeros(Significant(value)) + " " + unit;
}

std::string FormatClock(int64_t nanos) {
  const int64_t seconds = nanos < 0 ? 0 : nanos / 1'000'000'000;
  if (seconds < 3600) return absl::StrFormat("%02d:%02d", seconds / 60, seconds % 60);
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string FormatRateNumber(double per_second) {
  if (std::fabs(per_second) < 99.95) return Significant(per_second);
  if (std::fabs(per_second) >= 1e6) return Group(absl::StrFormat("%.0f", per_second));
  return Group(CutZeros(absl::StrFormat("%.1f", per_second)));
}

std::string FormatRate(double per_second) { return FormatRateNumber(per_second) + "/s"; }

std::string FormatCount(uint64_t count) { return Group(absl::StrFormat("%d", count)); }

std::string FormatSignedCount(int64_t count) { return Group(absl::StrFormat("%d", count)); }

std::string FormatPercent(double share) {
  if (share == 0) return "0 %";
  if (share == 1) return "100 %";
  const double percent = share * 100;
  const double below = 100 - percent;
  if (below > 0 && below < 0.05) {
    if (below < 0.001) return "> 99.999 %";
    return absl::StrFormat("%.3f %%", std::floor(percent * 1000) / 1000);
  }
  if (percent > 0 && percent < 0.0001) return "< 0.0001 %";
  return Significant(percent) + " %";
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1000) return absl::StrFormat("%d B", bytes);
  const auto [value, unit] = Scale(static_cast<double>(bytes), kBytes.data(), kBytes.size());
  return Significant(value) + " " + unit;
}

std::string FormatNumber(double value) { return Significant(value); }

std::string FormatDuration(std::optional<int64_t> nanos) {
  return nanos ? FormatDuration(*nanos) : std::string(kNone);
}

std::string FormatRateNumber(std::optional<double> per_second) {
  return per_second ? FormatRateNumber(*per_second) : std::string(kNone);
}

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (size_t i = 0; i < text.size();) {
    if (const size_t escape = EscapeLength(text, i); escape != 0) {
      i += escape;
      continue;
    }
    if (!Continues(text[i])) ++width;
    ++i;
  }
  return width;
}

std::string ToAscii(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 28> kSigns = {{
      {"µ", "u"},  {"–", "-"},  {"·", "|"},   {"±", "+-"}, {"→", "->"}, {"▸", ">"}, {"×", "x"},
      {"≤", "<="}, {"≥", ">="}, {"…", "..."}, {"−", "-"},  {"█", "#"},  {"▉", "#"}, {"▊", "#"},
      {"▋", "#"},  {"▌", "#"},  {"▍", "#"},   {"▎", "#"},  {"▏", "#"},  {"▁", "_"}, {"▂", "_"},
      {"▃", "."},  {"▄", "-"},  {"▅", "-"},   {"▆", "="},  {"▇", "="},  {"≈", "~"}, {"Σ", "sum"},
  }};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      out += text[i++];
      continue;
    }
    size_t length = 1;
    while (i + length < text.size() && Continues(text[i + length])) ++length;
    const std::string_view sign = text.substr(i, length);
    std::string_view ascii = "?";
    for (const auto& [from, to] : kSigns) {
      if (from == sign) ascii = to;
    }
    out += ascii;
    i += length;
  }
  return out;
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C2 80 … C2 9F are control characters too: some terminals take 9B as ESC [.
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1) ++i;
    out += c < 0x20 || c == 0x7F || c1 ? '?' : text[i];
  }
  return out;
}

std::string PadRight(std::string_view text, int width) {
  std::string out(text);
  const int missing = width - DisplayWidth(text);
  if (missing > 0) out.append(static_cast<size_t>(missing), ' ');
  return out;
}

std::string PadLeft(std::string_view text, int width) {
  const int missing = width - DisplayWidth(text);
  return std::string(missing > 0 ? static_cast<size_t>(missing) : 0, ' ') + std::string(text);
}

std::string Truncate(std::string_view text, int width) {
  std::string out;
  int used = 0;
  bool coloured = false;
  for (size_t i = 0; i < text.size();) {
    if (const size_t escape = EscapeLength(text, i); escape != 0) {
      out += text.substr(i, escape);
      coloured = true;
      i += escape;
      continue;
    }
    if (used == width) break;
    out += text[i++];
    while (i < text.size() && Continues(text[i])) out += text[i++];
    ++used;
  }
  if (coloured) out += "\x1b[0m";
  return out;
}

std::string Paint(bool on, Colour colour, std::string_view text) {
  if (!on) return std::string(text);
  const char* code = "0";
  switch (colour) {
    case Colour::kGood:
      code = "32";
      break;
    case Colour::kWarn:
      code = "33";
      break;
    case Colour::kBad:
      code = "31";
      break;
    case Colour::kDim:
      code = "2";
      break;
    case Colour::kBold:
      code = "1";
      break;
  }
  return absl::StrFormat("\x1b[%sm%s\x1b[0m", code, text);
}

}  // namespace broadside::report
