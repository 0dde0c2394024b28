#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/plan/keys.h"
#include "common/plan/parse.h"
#include "common/plan/plan.h"
#include "common/plan/yaml_node.h"

/// Reading a tree by a table of keys: every error gets its place, every unknown key a suggestion.
namespace broadside::plan {

/// What the section parsers share while one plan is read.
class Context {
 public:
  explicit Context(const ParseOptions& parse_options);

  const ParseOptions& options;
  std::vector<std::string> sources;  ///< by Mark::source: the file's name, then "--set TEXT"

  /// "plan.yaml:7:12: MESSAGE", or "--set TEXT: MESSAGE".
  Status Error(const yaml::Mark& mark, const std::string& message) const;
  /// The same for a place that a Plan keeps.
  Status Error(const Where& where, const std::string& message) const;
  /// `status` with the place in front, if it is an error.
  Status At(const yaml::Mark& mark, std::string_view key, const Status& status) const;
  Where WhereOf(const yaml::Mark& mark) const;

  /// Notes that the plan uses a feature (a name of not_built.cc); judged when all else is right.
  void Uses(const std::string& feature, const yaml::Mark& mark) {
    used_.emplace_back(mark, feature);
  }
  const std::vector<std::pair<yaml::Mark, std::string>>& used() const { return used_; }

 private:
  std::vector<std::pair<yaml::Mark, std::string>> used_;
};

/// The first used feature that this version does not have, as an error.
Status CheckBuilt(const Context& context);
bool IsBuilt(std::string_view feature);
/// `"search" is not in this version yet`.
std::string NotBuiltMessage(std::string_view feature);

struct Range {
  int64_t least = 0;
  int64_t most = INT64_MAX;
};

/// What a node is, for messages: `a list`, `a map`, `"text"`, `nothing`.
std::string Describe(const yaml::Node& node);

// One value of a node; `key` goes into the message.
StatusOr<std::string> ReadString(const Context& context, std::string_view key,
                                 const yaml::Node& node);
StatusOr<bool> ReadBool(const Context& context, std::string_view key, const yaml::Node& node);
StatusOr<int64_t> ReadInteger(const Context& context, std::string_view key, const yaml::Node& node,
                              Range range);
StatusOr<Nanos> ReadDuration(const Context& context, std::string_view key, const yaml::Node& node,
                             Nanos least, Nanos most);
StatusOr<MicroRate> ReadRate(const Context& context, std::string_view key, const yaml::Node& node);
StatusOr<Ppm> ReadPercent(const Context& context, std::string_view key, const yaml::Node& node,
                          Ppm most);
StatusOr<std::string> ReadWord(const Context& context, std::string_view key, const yaml::Node& node,
                               const std::vector<std::string>& allowed);
/// A list of strings; one string stands for a list of one.
StatusOr<std::vector<std::string>> ReadStrings(const Context& context, std::string_view key,
                                               const yaml::Node& node);
Status ExpectMap(const Context& context, std::string_view key, const yaml::Node& node);
Status ExpectList(const Context& context, std::string_view key, const yaml::Node& node);

/// One map. Each reader leaves `out` as it is when the key is absent, so defaults stand in the
/// plan's types alone. The table of the section must hold every key that is asked for.
class MapReader {
 public:
  /// An error if `node` is no map or has a key that `section` does not know.
  static StatusOr<MapReader> Open(const Context& context, std::string_view key,
                                  const yaml::Node& node, const Section& section);

  /// The value, or null when the key is absent. A key without a value is an error of Open.
  const yaml::Node* Get(std::string_view key) const;
  bool Has(std::string_view key) const { return Get(key) != nullptr; }
  /// Place of a key that is there, else of the map.
  const yaml::Mark& KeyMark(std::string_view key) const;
  const yaml::Mark& mark() const { return node_->mark; }
  /// "KEY is missing" at the map's place.
  Status Require(std::string_view key) const;

  Status String(std::string_view key, std::string& out) const;
  Status Bool(std::string_view key, bool& out) const;
  Status Duration(std::string_view key, Nanos least, Nanos most, Nanos& out) const;
  Status Duration(std::string_view key, Nanos least, Nanos most, std::optional<Nanos>& out) const;
  Status Rate(std::string_view key, MicroRate& out) const;
  Status Percent(std::string_view key, Ppm most, Ppm& out) const;
  template <std::integral T>
  Status Integer(std::string_view key, Range range, T& out) const {
    if (const yaml::Node* node = Get(key)) {
      BROADSIDE_ASSIGN_OR_RETURN(const int64_t value, ReadInteger(*context_, key, *node, range));
      out = static_cast<T>(value);
    }
    return {};
  }
  /// One of `words`; the value is the one beside it.
  template <class T>
  Status Word(std::string_view key, const std::vector<std::pair<std::string, T>>& words,
              T& out) const {
    const yaml::Node* node = Get(key);
    if (node == nullptr) return {};
    std::vector<std::string> allowed;
    for (const auto& [word, value] : words) allowed.push_back(word);
    BROADSIDE_ASSIGN_OR_RETURN(const std::string word, ReadWord(*context_, key, *node, allowed));
    for (const auto& [known, value] : words)
      if (known == word) out = value;
    return {};
  }
  /// A map of strings.
  Status Strings(std::string_view key, std::map<std::string, std::string>& out) const;

 private:
  MapReader(const Context& context, const yaml::Node& node, const Section& section)
      : context_(&context), node_(&node), section_(&section) {}
  const Context* context_;
  const yaml::Node* node_;
  const Section* section_;
};

// The section parsers; each in the file of its name.
StatusOr<std::vector<Target>> ReadTargets(Context& context, const yaml::Node& node);
StatusOr<std::vector<Phase>> ReadLoad(Context& context, const yaml::Node& node,
                                      const std::vector<Target>& targets);
StatusOr<std::optional<BreakerSpec>> ReadBreaker(Context& context, const yaml::Node& node);
StatusOr<std::vector<Rule>> ReadRules(Context& context, std::string_view key,
                                      const yaml::Node& node);
Status ReadLimits(Context& context, const yaml::Node& node, Limits& limits);
Status ReadAgents(Context& context, const yaml::Node& node, Agents& agents);
StatusOr<std::vector<Observer>> ReadObservers(Context& context, const yaml::Node& node);
Status ReadRecord(Context& context, const yaml::Node& node, Record& record);

/// Applies "--set" texts to the tree.
Status ApplyOverrides(Context& context, yaml::Node& root);
/// Merges `defaults` under every target and removes it.
Status MergeDefaults(Context& context, yaml::Node& root);
/// Puts values in the place of ${env:NAME} and ${file:PATH}, and checks where ${secret:NAME} is.
Status Interpolate(Context& context, yaml::Node& root);

/// The whole of ParsePlan after the text has become a tree.
StatusOr<Plan> PlanFromTree(Context& context, yaml::Node root);

/// Checks that concern more than one section.
Status CheckPlan(const Context& context, const Plan& plan);
/// The number of steps of a staircase.
int64_t StepCount(const StepsLoad& steps);

}  // namespace broadside::plan
