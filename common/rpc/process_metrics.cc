#include "common/rpc/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace broadside::rpc {

namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

uint64_t OpenFds() {
  std::error_code error;
  const std::filesystem::directory_iterator begin("/proc/self/fd", error);
  if (error) return 0;
  uint64_t count = 0;
  for (auto it = begin; it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (error) break;
    ++count;
  }
  // One of them is the directory being read.
  return count > 0 ? count - 1 : 0;
}

/// Wall time of the host's boot, to which /proc counts a process's start.
double BootSeconds() {
  std::ifstream file("/proc/stat");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("btime ", 0) == 0) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

/// The fields of proc(5), "stat", from the third on: the second, the program's name, may hold
/// anything.
void ReadStat(ProcessStats& stats) {
  std::ifstream file("/proc/self/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream rest(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; rest >> field; ++number) {
    const double value = std::strtod(field.c_str(), nullptr);
    if (number == 20) stats.threads = static_cast<uint64_t>(value);
    if (number == 22) {
      stats.start_time_seconds = BootSeconds() + value / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
    if (number == 23) stats.virtual_bytes = static_cast<uint64_t>(value);
    if (number == 24) {
      stats.resident_bytes =
          static_cast<uint64_t>(value) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    }
  }
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  ReadStat(stats);
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_fds = limit.rlim_cur;
  stats.open_fds = OpenFds();
  return stats;
}

void AddProcessMetrics(const ProcessStats& stats, Exposition& out) {
  const auto number = [](uint64_t value) { return static_cast<double>(value); };
  out.Counter({"process_cpu_seconds_total", "User and system CPU time of this process."}, {},
              stats.cpu_seconds);
  out.Gauge({"process_start_time_seconds", "Start of this process since the Unix epoch."}, {},
            stats.start_time_seconds);
  out.Gauge({"process_resident_memory_bytes", "Resident memory of this process."}, {},
            number(stats.resident_bytes));
  out.Gauge({"process_virtual_memory_bytes", "Virtual memory of this process."}, {},
            number(stats.virtual_bytes));
  out.Gauge({"process_open_fds", "Open file descriptors of this process."}, {},
            number(stats.open_fds));
  out.Gauge({"process_max_fds", "File descriptors that this process may open."}, {},
            number(stats.max_fds));
  out.Gauge({"process_threads", "Threads of this process."}, {}, number(stats.threads));
}

}  // namespace broadside::rpc
