#pragma once

#include "common/base/status.h"

/// What ctl ends with. The codes of a finished run are report::ExitCode; these come before it.
namespace broadside::ctl {

constexpr int kExitOk = 0;
constexpr int kExitUsage = 1;        ///< wrong arguments, a plan with an error
constexpr int kExitUnreachable = 2;  ///< no controller answered
constexpr int kExitFailed = 3;       ///< the controller or the run failed
constexpr int kExitInterrupted = 130;

/// For an error that the controller (or the way to it) answered with.
inline int ExitCodeOf(const Status& status) {
  if (status.ok()) return kExitOk;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return kExitUsage;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

}  // namespace broadside::ctl
