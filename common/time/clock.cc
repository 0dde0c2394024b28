#include "common/time/clock.h"

#include <ctime>
#include <fstream>

namespace broadside {

Instant SystemClock::Now() const {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return Instant(std::chrono::seconds(ts.tv_sec) + Nanos(ts.tv_nsec));
}

int64_t WallNanos() {
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

std::string FormatUtc(int64_t wall_nanos) {
  const time_t seconds = wall_nanos / 1'000'000'000;
  tm parts;
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace broadside
