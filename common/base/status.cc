#include "common/base/status.h"

#include <cerrno>
#include <cstring>

namespace broadside {

Status InvalidArgument(std::string message) { return absl::InvalidArgumentError(message); }
Status NotFound(std::string message) { return absl::NotFoundError(message); }
Status AlreadyExists(std::string message) { return absl::AlreadyExistsError(message); }
Status FailedPrecondition(std::string message) { return absl::FailedPreconditionError(message); }
Status Unavailable(std::string message) { return absl::UnavailableError(message); }
Status DeadlineExceeded(std::string message) { return absl::DeadlineExceededError(message); }
Status ResourceExhausted(std::string message) { return absl::ResourceExhaustedError(message); }
Status PermissionDenied(std::string message) { return absl::PermissionDeniedError(message); }
Status Unimplemented(std::string message) { return absl::UnimplementedError(message); }
Status DataLoss(std::string message) { return absl::DataLossError(message); }
Status Cancelled(std::string message) { return absl::CancelledError(message); }
Status Internal(std::string message) { return absl::InternalError(message); }

std::string MessageOf(const Status& status) { return std::string(status.message()); }

Status ErrnoStatus(int errno_value, std::string what) {
  return Status(absl::ErrnoToStatusCode(errno_value), what + ": " + std::strerror(errno_value));
}

}  // namespace broadside
