// Replay files: recorded arrivals, read exactly to the nanosecond.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "common/plan/resolve.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

constexpr size_t kMaxRows = 10'000'000;
constexpr int64_t kNsPerSecond = 1'000'000'000;

/// Finds the key "at" of one JSON object and keeps its digits as they are written: a double would
/// round them.
class AtFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool found = false;
  std::string digits;

  bool null() override { return Take("null"); }
  bool boolean(bool value) override { return Take(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return Take(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Take(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return Take(text); }
  bool string(string_t& text) override { return Take("\"" + text + "\""); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Begin("{"); }
  bool end_object() override { return End(); }
  bool start_array(std::size_t) override { return Begin("["); }
  bool end_array() override { return End(); }
  bool key(string_t& name) override {
    at_ = depth_ == 1 && name == "at";
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool Take(const std::string& text) {
    if (depth_ == 0) return false;  // the line is no object
    if (at_) {
      digits = text;
      found = true;
      at_ = false;
    }
    return true;
  }
  bool Begin(const char* sign) {
    if (depth_ == 0 && *sign == '[') return false;
    if (depth_ > 0 && !Take(sign)) return false;
    ++depth_;
    return true;
  }
  bool End() {
    --depth_;
    at_ = false;
    return true;
  }
  int depth_ = 0;
  bool at_ = false;
};

/// "12.000000001" → ns. Empty if it is no decimal of at most 9 decimals.
std::optional<int64_t> SecondsToNanos(std::string_view text) {
  const auto number = TakeDecimal(text);
  if (!number || !text.empty()) return {};
  return number->Times(kNsPerSecond);
}

/// The first column of a CSV line, without quotes around it.
std::string_view FirstColumn(std::string_view line) {
  std::string_view column = Trim(line.substr(0, line.find_first_of(",;\t")));
  if (column.size() >= 2 && column.front() == '"' && column.back() == '"') {
    column.remove_prefix(1);
    column.remove_suffix(1);
  }
  return column;
}

}  // namespace

StatusOr<std::vector<int64_t>> ReadReplay(std::string_view text, std::string_view format,
                                          const std::string& file_name) {
  std::vector<int64_t> rows;
  int line_number = 0;
  bool first = true;
  const auto error = [&](const std::string& message) {
    return InvalidArgument(absl::StrFormat("%s:%d: %s", file_name, line_number, message));
  };
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    ++line_number;
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    std::string value(FirstColumn(line));
    if (format == "jsonl") {
      AtFinder finder;
      if (!nlohmann::json::sax_parse(line.begin(), line.end(), &finder))
        return error(Quoted(line) + " is not a JSON object on one line, as in {\"at\": 0.25}.");
      if (!finder.found) return error("the key \"at\" is missing.");
      value = finder.digits;
    }
    const auto nanos = SecondsToNanos(value);
    const bool header = first && format == "csv" && !value.empty() && !nanos &&
                        std::string_view("0123456789.+-").find(value[0]) == std::string_view::npos;
    first = false;
    if (header) continue;
    if (!nanos)
      return error(Quoted(value) +
                   " is not a time. Write seconds from the phase's start as a plain decimal, at "
                   "most 9 decimals.");
    if (!rows.empty() && *nanos < rows.back())
      return error(Quoted(value) + " is before the row above it; times never fall.");
    if (rows.size() >= kMaxRows) return error(absl::StrFormat("more than %d arrivals.", kMaxRows));
    rows.push_back(*nanos);
  }
  line_number = 1;
  if (rows.empty()) return error("no arrival in this file.");
  return rows;
}

StatusOr<std::shared_ptr<const rate::CompiledSegment>> CompileSegment(const rate::Segment& segment,
                                                                      const FileBySha& file,
                                                                      const std::string& name) {
  std::shared_ptr<const std::vector<int64_t>> list;
  if (segment.kind == rate::ArrivalKind::kList) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string content, file(segment.replay.sha256));
    BROADSIDE_ASSIGN_OR_RETURN(auto rows, ReadReplay(content, segment.replay.format, name));
    list = std::make_shared<const std::vector<int64_t>>(std::move(rows));
  }
  return rate::CompiledSegment::Make(segment, std::move(list));
}

}  // namespace broadside::plan
