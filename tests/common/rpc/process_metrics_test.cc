#include "common/rpc/process_metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace broadside::rpc {
namespace {

TEST(ProcessMetrics, CountsWhatThisProcessUses) {
  const ProcessStats before = ReadProcessStats();
  EXPECT_GT(before.start_time_seconds, 1.6e9);
  EXPECT_GT(before.resident_bytes, 100'000u);
  EXPECT_GT(before.virtual_bytes, before.resident_bytes);
  EXPECT_GT(before.max_fds, before.open_fds);
  EXPECT_GE(before.threads, 1u);
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  // Work until the kernel has seen some: the test's own time limit is the deadline.
  while (ReadProcessStats().cpu_seconds <= before.cpu_seconds) {
  }
  EXPECT_EQ(ReadProcessStats().open_fds, before.open_fds + 1);
  close(fd);
}

TEST(ProcessMetrics, HasTheUsualNames) {
  Exposition page;
  AddProcessMetrics({.cpu_seconds = 1.5,
                     .start_time_seconds = 1'700'000'000.25,
                     .resident_bytes = 1u << 30,
                     .virtual_bytes = 3,
                     .open_fds = 4,
                     .max_fds = 5,
                     .threads = 6},
                    page);
  for (const char* line :
       {"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n",
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1700000000.25\n",
        "\nprocess_resident_memory_bytes 1073741824\n", "\nprocess_virtual_memory_bytes 3\n",
        "\nprocess_open_fds 4\n", "\nprocess_max_fds 5\n", "\nprocess_threads 6\n"}) {
    EXPECT_THAT(page.Text(), testing::HasSubstr(line));
  }
}

}  // namespace
}  // namespace broadside::rpc
