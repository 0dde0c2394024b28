#include <sys/resource.h>

#include <charconv>
#include <fstream>
#include <string>

#include "agent/engine/encoder.h"

namespace broadside::agent {
namespace {

uint64_t Nanoseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<uint64_t>(time.tv_usec) * 1'000;
}

/// Where this process' cgroup (v2) keeps its CPU figures; empty where there is none.
std::string CpuStatPath() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3) + "/cpu.stat";
  }
  return {};
}

}  // namespace

uint64_t ProcessCpuNanos() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Nanoseconds(usage.ru_utime) + Nanoseconds(usage.ru_stime);
}

uint64_t CgroupThrottledNanos() {
  constexpr std::string_view kKey = "throttled_usec ";
  const std::string path = CpuStatPath();
  if (path.empty()) return 0;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    uint64_t micros = 0;
    std::from_chars(line.data() + kKey.size(), line.data() + line.size(), micros);
    return micros * 1'000;
  }
  return 0;
}

}  // namespace broadside::agent
