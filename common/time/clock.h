#pragma once

#include <cstdint>
#include <string>

#include "common/time/time.h"

namespace broadside {

/// Where code that waits gets the time. Pure code takes `Instant now` as an argument instead.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
};

/// CLOCK_BOOTTIME of this host. Any thread.
class SystemClock : public Clock {
 public:
  Instant Now() const override;
};

/// A clock that tests move by hand. One thread.
class ManualClock : public Clock {
 public:
  explicit ManualClock(Instant start = Instant(Nanos(0))) : now_(start) {}
  Instant Now() const override { return now_; }
  void Advance(Nanos by) { now_ += by; }
  void Set(Instant to) { now_ = to; }

 private:
  Instant now_;
};

/// Wall time for people and stored records only, in nanoseconds since the Unix epoch.
int64_t WallNanos();
/// "2026-11-24 10:02:11" in UTC.
std::string FormatUtc(int64_t wall_nanos);
/// Identity of this boot of the host: with another one, stored Instants mean nothing.
std::string BootId();

}  // namespace broadside
