#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace broadside::ctl {

struct ClusterOptions {
  std::string store_dir;  ///< kept; empty: a temporary one, removed when all went well
  uint32_t agents = 1;
  uint32_t loops = 1;              ///< of each agent
  std::vector<std::string> allow;  ///< HOST:PORT that the agents may fire at
  std::string secrets_dir;         ///< empty: none
  std::string record_requests;     ///< path prefix of the raw dumps; empty: none
};

/// A controller and agents of ctl's own, for one run on one machine.
class Cluster {
 public:
  virtual ~Cluster() = default;
  /// HOST:PORT of the controller.
  virtual std::string address() const = 0;
  /// Where stores and logs are.
  virtual std::string directory() const = 0;
  /// Not OK when one of them has died; the message has the last lines of its log.
  virtual Status Check() = 0;
  /// Ends them all: asked first, then made to. Idempotent; the destructor calls it.
  virtual void Stop() = 0;
  /// Ends them all at once, without a word: for a user who will not wait.
  virtual void Kill() = 0;
};

}  // namespace broadside::ctl
