#pragma once

#include <memory>
#include <string>

#include "ctl/cluster.h"

namespace broadside::ctl {

struct LocalPrograms {
  std::string directory;  ///< holds broadside-controller and broadside-agent
  uint32_t cores = 1;
};

/// Starts a controller and agents as child processes on loopback, on ports the kernel chose.
/// Returns when the controller has bound its port; agents may still be on their way. Whatever goes
/// wrong is said with the last lines of the log of who failed.
StatusOr<std::unique_ptr<Cluster>> StartLocalCluster(const ClusterOptions& options,
                                                     const LocalPrograms& programs);

}  // namespace broadside::ctl
