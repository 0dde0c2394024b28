// What the grammar has and this version does not run. To build a feature, delete its line here.
#include <algorithm>
#include <string_view>

#include "common/plan/reader.h"

namespace broadside::plan {
namespace {

constexpr std::string_view kNotBuilt[] = {
    // protocols and URL schemes
    "kserve-grpc",
    "kserve-grpc-stream",
    "openai-chat",
    "openai-completions",
    "generate-stream",
    "grpc",
    "https",
    "grpcs",
    // keys of a target
    "tls",
    "prompts",
    "good",
    "breaker",
    // load
    "concurrency",
    "search",
    "% of",
    "idle: auto",
    "each",
    // rules
    "good_share",
    "good_rate",
    "ttft",
    "itl",
    "tpot",
    // the rest
    "timeout.first_token",
    "timeout.idle",
    "observe",
    "record",
};

}  // namespace

bool IsBuilt(std::string_view feature) {
  return std::find(std::begin(kNotBuilt), std::end(kNotBuilt), feature) == std::end(kNotBuilt);
}

std::string NotBuiltMessage(std::string_view feature) {
  return "\"" + std::string(feature) + "\" is not in this version yet";
}

Status CheckBuilt(const Context& context) {
  const std::pair<yaml::Mark, std::string>* first = nullptr;
  for (const auto& use : context.used()) {
    if (!IsBuilt(use.second) && (first == nullptr || use.first < first->first)) first = &use;
  }
  if (first == nullptr) return {};
  return context.Error(first->first, NotBuiltMessage(first->second));
}

}  // namespace broadside::plan
