#pragma once

#include <gtest/gtest.h>

#include <string>

#include "common/base/digest.h"
#include "common/plan/parse.h"

namespace broadside::plan {

/// The plan, or an empty one and a failed test.
inline Plan MustParse(const std::string& text, ParseOptions options = {}) {
  auto plan = ParsePlan(text, options);
  EXPECT_TRUE(plan.ok()) << plan.status() << "\n" << text;
  return plan.ok() ? *plan : Plan();
}

/// The message of the error that `text` gives; "no error" if it is a plan.
inline std::string ErrorOf(const std::string& text, ParseOptions options = {}) {
  const auto plan = ParsePlan(text, options);
  return plan.ok() ? "no error" : MessageOf(plan.status());
}

/// A small valid plan, to which a test appends.
inline const char kSmall[] =
    "targets:\n"
    "  web: {url: \"http://127.0.0.1:8080/\"}\n"
    "load:\n"
    "  - {phase: a, rate: 100/s, duration: 10s}\n";

}  // namespace broadside::plan
