#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Numbers as people read them: the unit always, three significant digits, thousands separators.
/// UTF-8; ToAscii gives the same for terminals without it. Pure, any thread.
namespace broadside::report {

/// "12.4 ms", "1.25 s", "850 µs", "12 ns", "1,250 s". Rounds half up; 999.96 ms reads "1.00 s".
std::string FormatDuration(int64_t nanos);
/// The same with trailing zeros cut: "10 ms", "1 s", "2.5 ms". For axes and settings.
std::string FormatDurationShort(int64_t nanos);
/// mm:ss, or h:mm:ss from an hour on. Negative times read as 0.
std::string FormatClock(int64_t nanos);
/// "1,500/s", "1,499.8/s", "50.0/s", "0.500/s": below 100 three significant digits, above one
/// decimal unless it is 0, because asked and sent are compared to a thousandth.
std::string FormatRate(double per_second);
/// The number of FormatRate without its unit.
std::string FormatRateNumber(double per_second);
/// "603,114".
std::string FormatCount(uint64_t count);
std::string FormatSignedCount(int64_t count);
/// A share of 1 as "66.1 %". Never rounds to 100 % what is below it ("99.998 %") nor to 0 % what is
/// above it ("0.0012 %").
std::string FormatPercent(double share);
/// "512 B", "3.20 MB", decimal units.
std::string FormatBytes(uint64_t bytes);
/// A plain number with three significant digits: "450", "0.512", "1,250".
std::string FormatNumber(double value);

/// `value` or "–" when there is none.
std::string FormatDuration(std::optional<int64_t> nanos);
std::string FormatRateNumber(std::optional<double> per_second);

/// Columns that `text` takes: code points of UTF-8, colour codes not counted.
int DisplayWidth(std::string_view text);
/// The letters and signs of this folder's output in ASCII ("us", "+-", "#", "-").
std::string ToAscii(std::string_view text);
/// Control characters, ESC among them, as '?': text from elsewhere must not steer the terminal.
std::string Printable(std::string_view text);
/// `text` filled with spaces to `width` columns, on its right or (PadLeft) on its left.
std::string PadRight(std::string_view text, int width);
std::string PadLeft(std::string_view text, int width);
/// The first `width` columns of `text`, colour codes kept whole.
std::string Truncate(std::string_view text, int width);

enum class Colour { kGood, kWarn, kBad, kDim, kBold };
/// `text` in colour when `on`, else as it is.
std::string Paint(bool on, Colour colour, std::string_view text);

}  // namespace broadside::report
