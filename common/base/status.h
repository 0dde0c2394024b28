#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// Errors cross every boundary as absl::Status. Messages start with what the user wrote and where
/// ("plan.yaml:12:3: ..."), then what is allowed, then the cure. Debian's Abseil has its own
/// string_view, so the factories below take std::string and `MessageOf` gives one back.
namespace broadside {

using absl::Status;
using absl::StatusOr;

Status InvalidArgument(std::string message);
Status NotFound(std::string message);
Status AlreadyExists(std::string message);
Status FailedPrecondition(std::string message);
Status Unavailable(std::string message);
Status DeadlineExceeded(std::string message);
Status ResourceExhausted(std::string message);
Status PermissionDenied(std::string message);
Status Unimplemented(std::string message);
Status DataLoss(std::string message);
Status Cancelled(std::string message);
Status Internal(std::string message);

/// The message of `status` as a std::string (without the code's name).
std::string MessageOf(const Status& status);

/// "<what>: <strerror(errno_value)>", with the code that fits the errno.
Status ErrnoStatus(int errno_value, std::string what);

}  // namespace broadside

#define BROADSIDE_RETURN_IF_ERROR(expression)                                          \
  do {                                                                                 \
    if (::broadside::Status broadside_status_ = (expression); !broadside_status_.ok()) \
      return broadside_status_;                                                        \
  } while (false)

#define BROADSIDE_CONCAT_INNER(a, b) a##b
#define BROADSIDE_CONCAT(a, b) BROADSIDE_CONCAT_INNER(a, b)
/// BROADSIDE_ASSIGN_OR_RETURN(auto plan, ParsePlan(text));
#define BROADSIDE_ASSIGN_OR_RETURN(lhs, expression) \
  BROADSIDE_ASSIGN_OR_RETURN_IMPL(BROADSIDE_CONCAT(broadside_or_, __LINE__), lhs, expression)
#define BROADSIDE_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expression) \
  auto tmp = (expression);                                    \
  if (!tmp.ok()) return std::move(tmp).status();              \
  lhs = *std::move(tmp)
