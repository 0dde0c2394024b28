#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"

/// Vegeta's target files (facts of v12.13). What Vegeta reads differently from what its user means
/// is an error here, with the line.
namespace broadside::plan {

struct VegetaTarget {
  int line = 0;
  std::string method;
  std::string url_text;
  Url url;
  std::vector<Header> headers;
  std::string body_file;  ///< "@path" of the http form, or empty
  int body_line = 0;      ///< where it stands
  std::string body;       ///< decoded body of the json form
};

StatusOr<std::vector<VegetaTarget>> ParseVegetaTargets(std::string_view text,
                                                       std::string_view format,
                                                       const std::string& file_name);

}  // namespace broadside::plan
