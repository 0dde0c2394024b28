#include "common/plan/vegeta.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "common/plan/parse.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

constexpr size_t kMaxVegetaTargets = 100'000;

Status LineError(const std::string& file, int line, const std::string& message) {
  return InvalidArgument(absl::StrFormat("%s:%d: %s", file, line, message));
}

bool IsCapitals(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

/// "GET http://x/": what Vegeta would take for a header named "GET http" after a header.
bool LooksLikeTarget(std::string_view line) {
  const size_t space = line.find(' ');
  return space != std::string_view::npos && IsCapitals(line.substr(0, space)) &&
         (line.find("://") != std::string_view::npos || line[space + 1] == '/');
}

/// Checks and keeps a target's URL; both forms have one.
Status TakeUrl(const std::string& file, int line, std::string_view text, VegetaTarget& target) {
  const size_t space = text.find_first_of(" \t");
  if (space != std::string_view::npos) {
    const std::string_view tail = Trim(text.substr(space));
    if (tail.starts_with("HTTP/"))
      return LineError(file, line, Quoted(tail) + " would become part of the URL: leave it out.");
    return LineError(file, line, "the URL " + Quoted(text) + " holds a space; write %20.");
  }
  if (text.starts_with("/"))
    return LineError(file, line,
                     "the URL " + Quoted(text) +
                         " is relative: Vegeta's files have whole URLs, http://HOST:PORT" +
                         std::string(text.substr(0, 100)) + ".");
  auto url = ParseUrl(text);
  if (!url.ok()) return LineError(file, line, MessageOf(url.status()));
  if (url->scheme != "http" && url->scheme != "https")
    return LineError(file, line, "the URL " + Quoted(text) + " is not http or https.");
  target.line = line;
  target.url_text = std::string(text);
  target.url = *std::move(url);
  return {};
}

/// The line-based form.
class HttpForm {
 public:
  explicit HttpForm(const std::string& file) : file_(file) {}

  StatusOr<std::vector<VegetaTarget>> Run(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    while (!text.empty()) {
      const size_t end = text.find('\n');
      ++line_;
      BROADSIDE_RETURN_IF_ERROR(Line(Trim(text.substr(0, end))));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return std::move(targets_);
  }

 private:
  enum class State {
    kBetween,  ///< a target may begin
    kBare,     ///< after METHOD URL: headers, @body or the next target
    kHeaders,  ///< after a header or a comment: only an empty line ends the target
    kBody,     ///< after @body: the target has ended
  };

  Status Error(const std::string& message) const { return LineError(file_, line_, message); }

  Status Line(std::string_view line) {
    if (line.empty()) {
      state_ = State::kBetween;
      return {};
    }
    if (line[0] == '#') {
      if (state_ == State::kBare) {
        state_ = State::kHeaders;
        comment_line_ = line_;
      }
      return {};
    }
    if (state_ == State::kBare && LooksLikeTarget(line)) state_ = State::kBetween;
    if (state_ == State::kBetween) return TargetLine(line);
    if (state_ == State::kBody) return AfterBody(line);
    if (line[0] == '@') {
      targets_.back().body_file = std::string(Trim(line.substr(1)));
      if (targets_.back().body_file.empty()) return Error("after @ stands the body's file.");
      targets_.back().body_line = line_;
      state_ = State::kBody;
      return {};
    }
    return HeaderLine(line);
  }

  Status TargetLine(std::string_view line) {
    const size_t space = line.find(' ');
    const std::string method(line.substr(0, space));
    if (line[0] == '@') return Error(Quoted(line) + ": a body without a target above it.");
    if (space == std::string_view::npos || !IsCapitals(method)) {
      std::string upper = method;
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](unsigned char c) { return std::toupper(c); });
      if (space != std::string_view::npos && IsCapitals(upper))
        return Error("the method " + Quoted(method) + " is not in capitals: write " + upper + ".");
      return Error(Quoted(line) + " is not a target. Write METHOD URL, as in GET http://HOST/.");
    }
    if (targets_.size() >= kMaxVegetaTargets)
      return Error(absl::StrFormat("more than %d targets.", kMaxVegetaTargets));
    VegetaTarget target;
    target.method = method;
    BROADSIDE_RETURN_IF_ERROR(TakeUrl(file_, line_, Trim(line.substr(space + 1)), target));
    targets_.push_back(std::move(target));
    state_ = State::kBare;
    comment_line_ = 0;
    return {};
  }

  Status AfterBody(std::string_view line) {
    // The body ended the target, so another may follow without an empty line.
    if (LooksLikeTarget(line)) return TargetLine(line);
    return Error(Quoted(line) + " stands after the @body of the target in line " +
                 std::to_string(targets_.back().line) + ", which ends it: put headers above @.");
  }

  Status HeaderLine(std::string_view line) {
    const std::string owner = "the target in line " + std::to_string(targets_.back().line);
    if (LooksLikeTarget(line)) {
      const std::string why =
          comment_line_ == 0
              ? ""
              : absl::StrFormat(", because the comment in line %d begins its headers",
                                comment_line_);
      return Error(Quoted(line) + " would be read as a header of " + owner + why +
                   ": put an empty line between targets.");
    }
    const size_t colon = line.find(':');
    const std::string_view name = Trim(line.substr(0, colon));
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : Trim(line.substr(colon + 1));
    if (colon == std::string_view::npos || name.empty() || value.empty())
      return Error(Quoted(line) + " is not a header of " + owner + ". Write NAME: VALUE.");
    if (const Status checked = CheckHeader(name, value); !checked.ok())
      return Error(MessageOf(checked));
    targets_.back().headers.push_back({std::string(name), std::string(value)});
    state_ = State::kHeaders;
    return {};
  }

  const std::string& file_;
  int line_ = 0;
  int comment_line_ = 0;
  State state_ = State::kBetween;
  std::vector<VegetaTarget> targets_;
};

/// One object a line.
class JsonForm {
 public:
  explicit JsonForm(const std::string& file) : file_(file) {}

  StatusOr<std::vector<VegetaTarget>> Run(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<VegetaTarget> targets;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      ++line_;
      const std::string_view line = Trim(text.substr(0, end));
      // Vegeta itself drops a last line that has no newline; nobody means that.
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.empty()) continue;
      if (targets.size() >= kMaxVegetaTargets)
        return Error(absl::StrFormat("more than %d targets.", kMaxVegetaTargets));
      BROADSIDE_ASSIGN_OR_RETURN(targets.emplace_back(), Object(line));
    }
    return targets;
  }

 private:
  Status Error(const std::string& message) const { return LineError(file_, line_, message); }

  StatusOr<VegetaTarget> Object(std::string_view line) {
    if (line[0] == '[')
      return Error("a JSON array; Vegeta's json form is one object a line, without brackets.");
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object())
      return Error(Quoted(line) +
                   " is not a JSON object on one line, as in {\"method\": \"GET\", \"url\": …}.");
    const std::vector<std::string> known = {"method", "url", "body", "header"};
    for (const auto& [key, value] : json.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        return Error("unknown key " + Quoted(key) + "." +
                     DidYouMean(key, known, " Known are " + JoinOr(known) + "."));
    VegetaTarget target;
    std::string url;
    BROADSIDE_RETURN_IF_ERROR(Text(json, "method", target.method));
    BROADSIDE_RETURN_IF_ERROR(Text(json, "url", url));
    if (!IsCapitals(target.method))
      return Error("the method " + Quoted(target.method) + " is not in capitals.");
    BROADSIDE_RETURN_IF_ERROR(TakeUrl(file_, line_, url, target));
    BROADSIDE_RETURN_IF_ERROR(Body(json, target));
    BROADSIDE_RETURN_IF_ERROR(Headers(json, target));
    return target;
  }

  Status Text(const nlohmann::json& json, const char* key, std::string& out) {
    const auto found = json.find(key);
    if (found == json.end()) return Error(std::string(key) + " is missing.");
    if (!found->is_string()) return Error(std::string(key) + " is not a string.");
    out = found->get<std::string>();
    return {};
  }

  Status Body(const nlohmann::json& json, VegetaTarget& target) {
    const auto found = json.find("body");
    if (found == json.end() || found->is_null()) return {};
    std::string encoded;
    BROADSIDE_RETURN_IF_ERROR(Text(json, "body", encoded));
    // absl also takes base64 without padding, which Vegeta does not.
    if (encoded.size() % 4 != 0 || !absl::Base64Unescape(encoded, &target.body))
      return Error("body " + Quoted(encoded) + " is not base64; Vegeta's json form has it so.");
    return {};
  }

  Status Headers(const nlohmann::json& json, VegetaTarget& target) {
    const auto found = json.find("header");
    if (found == json.end() || found->is_null()) return {};
    if (!found->is_object()) return Error("header is not an object of lists.");
    for (const auto& [name, values] : found->items()) {
      if (!values.is_array())
        return Error("header " + Quoted(name) + " is not a list. Write {\"" + name +
                     "\": [\"VALUE\"]}.");
      for (const auto& value : values) {
        if (!value.is_string())
          return Error("header " + Quoted(name) + " has a value that is no string.");
        const auto& text = value.get_ref<const std::string&>();
        if (const Status checked = CheckHeader(name, text); !checked.ok())
          return Error(MessageOf(checked));
        target.headers.push_back({name, text});
      }
    }
    return {};
  }

  const std::string& file_;
  int line_ = 0;
};

}  // namespace

StatusOr<std::vector<VegetaTarget>> ParseVegetaTargets(std::string_view text,
                                                       std::string_view format,
                                                       const std::string& file_name) {
  auto targets = format == "json" ? JsonForm(file_name).Run(text) : HttpForm(file_name).Run(text);
  if (targets.ok() && targets->empty())
    return LineError(file_name, 1,
                     "no target in this file. Write METHOD URL, as in GET http://HOST/.");
  return targets;
}

}  // namespace broadside::plan
