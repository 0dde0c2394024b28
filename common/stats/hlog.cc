#include <charconv>
#include <cmath>
#include <optional>

#include "common/stats/codec.h"

namespace broadside::stats {
namespace {

constexpr double kYear = 365.0 * 24 * 3600;

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

/// Cuts `text` up to the next comma off its front.
std::string_view TakeField(std::string_view& text) {
  const size_t comma = text.find(',');
  const std::string_view field = text.substr(0, comma);
  text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  return field;
}

class LogReader {
 public:
  explicit LogReader(std::string place) : place_(std::move(place)) {}

  Status Take(std::string_view line) {
    ++line_;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line.starts_with("\"StartTimestamp\"")) return absl::OkStatus();
    return line.front() == '#' ? TakeComment(line) : TakeInterval(line);
  }
  std::vector<LogInterval> Finish() { return std::move(intervals_); }

 private:
  Status Refuse(const std::string& what) const {
    return InvalidArgument(place_ + ":" + std::to_string(line_) + ": " + what);
  }

  Status TakeComment(std::string_view line) {
    constexpr std::string_view kVersion = "#[Histogram log format version ";
    if (line.starts_with(kVersion)) {
      const std::string_view version =
          line.substr(kVersion.size(), line.find(']') - kVersion.size());
      if (version == "1.0" || version == "1.1" || version == "1.2" || version == "1.3") {
        return absl::OkStatus();
      }
      return Refuse("log format version \"" + std::string(version) + "\": 1.0 to 1.3 are read");
    }
    BROADSIDE_RETURN_IF_ERROR(TakeTime(line, "#[StartTime: ", start_time_));
    return TakeTime(line, "#[BaseTime: ", base_time_);
  }

  Status TakeTime(std::string_view line, std::string_view head, std::optional<double>& into) {
    if (!line.starts_with(head)) return absl::OkStatus();
    line.remove_prefix(head.size());
    const std::string_view text = line.substr(0, line.find_first_of(" ]"));
    const std::optional<double> value = ParseNumber(text);
    if (!value) {
      return Refuse("\"" + std::string(text) + "\" is not a time in seconds, as in 1700000000.000");
    }
    into = value;
    return absl::OkStatus();
  }

  Status TakeInterval(std::string_view line) {
    LogInterval interval;
    if (line.starts_with("Tag=")) {
      interval.tag = TakeField(line).substr(4);
      if (interval.tag.empty()) return Refuse("a tag without a name");
    }
    const std::string_view texts[3] = {TakeField(line), TakeField(line), TakeField(line)};
    constexpr const char* kNames[3] = {"start timestamp", "interval length", "interval maximum"};
    double numbers[3] = {};
    for (int i = 0; i < 3; ++i) {
      const std::optional<double> number = ParseNumber(texts[i]);
      if (!number || (i == 1 && *number < 0)) {
        return Refuse("\"" + std::string(texts[i].substr(0, 40)) + "\" is not the " + kNames[i] +
                      "; a line is [Tag=name,]start,length,max,histogram");
      }
      numbers[i] = *number;
    }
    if (line.empty()) return Refuse("no histogram in the fourth field");
    const StatusOr<std::string> bytes = Base64Decode(line);
    if (!bytes.ok()) return Refuse(MessageOf(bytes.status()));
    StatusOr<Histogram> histogram = DecodeV2(*bytes);
    if (!histogram.ok()) return Refuse(MessageOf(histogram.status()));
    interval.start_s = numbers[0] + Base(numbers[0]);
    interval.length_s = numbers[1];
    interval.histogram = *std::move(histogram);
    intervals_.push_back(std::move(interval));
    return absl::OkStatus();
  }

  double Base(double first_timestamp) {
    if (!base_time_) {
      const bool relative = start_time_ && first_timestamp < *start_time_ - kYear;
      base_time_ = relative ? *start_time_ : 0.0;
    }
    return *base_time_;
  }

  std::string place_;
  int line_ = 0;
  std::optional<double> start_time_, base_time_;
  std::vector<LogInterval> intervals_;
};

}  // namespace

StatusOr<std::vector<LogInterval>> ReadLog(std::string_view text, const std::string& file_name) {
  LogReader reader(file_name);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    BROADSIDE_RETURN_IF_ERROR(reader.Take(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return reader.Finish();
}

}  // namespace broadside::stats
