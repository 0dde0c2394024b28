#pragma once

#include <span>
#include <string_view>

/// The words of plan.yaml: one table that the parser, its suggestions and the JSON Schema share, so
/// that none can know a key that another does not.
namespace broadside::plan {

/// `type` is a small language for the schema: alternatives separated by "|", each of string,
/// bool, integer, number, duration, rate, percent, rule, any, 'word', @section, list:T, map:T.
struct Key {
  std::string_view name;
  std::string_view type;
  std::string_view about;
};

struct Section {
  std::string_view name;
  std::span<const Key> keys;
};

extern const Section kPlanSection, kTargetSection, kTlsSection, kInputSection, kAutoSection,
    kPromptsSection, kGoodSection, kBreakerSection, kBreakerRuleSection, kOpensAtSection,
    kMatchSection, kPhaseSection, kRampSection, kStepsSection, kSineSection, kReplaySection,
    kSearchSection, kLimitsSection, kTimeoutSection, kObserverSection, kAgentsSection,
    kRecordSection;

/// Every section, the plan first.
std::span<const Section* const> AllSections();

}  // namespace broadside::plan
